-- Begins, extends or ends (lease '') a listener's lease.
-- flags: allow-oom
-- parts: base channels
-- ARGV: now, channel, listener, lease (microseconds).
local channel, listeners = ARGV[2], P .. 'yl:' .. ARGV[2]
if ARGV[4] == '' then
  call('ZREM', listeners, ARGV[3])
else
  if call('EXISTS', listeners) == 0 then
    note_gap(channel)
  end
  call('ZADD', listeners, text(NOW + tonumber(ARGV[4])), ARGV[3])
  call('SADD', P .. 'ya', channel)
end
return 1
