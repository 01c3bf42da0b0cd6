-- Changes a worker that was not retired: its state, or the request to drain.
-- flags: allow-oom
-- parts: base
-- ARGV: now, id, field, value.
local key = P .. 'w:' .. ARGV[2]
local state = call('HGET', key, 'st')
if not state then
  return 'missing'
end
if state == 'dead' then
  return ARGV[4] == 'dead' and 'applied' or 'conflict'
end
call('HSET', key, ARGV[3], ARGV[4], 'u', NOW_TEXT)
wake()
return 'applied'
