-- Gives a slot back.
-- flags: allow-oom
-- parts: base
-- ARGV: now, queue, holder.
if call('ZREM', P .. 'sl:' .. ARGV[2], ARGV[3]) == 0 then
  return 'stale'
end
call('HDEL', P .. 'sc:' .. ARGV[2], ARGV[3])
wake()
return 'applied'
