-- Begins or extends a listener's leases; channels that nobody listened to begin anew.
-- flags: allow-oom
-- parts: base feed
-- ARGV: now, listener, lease (microseconds), channels.
local lease_end, begins = text(NOW + tonumber(ARGV[3])), nil
for i = 4, #ARGV do
  local channel = ARGV[i]
  if not heard(channel) then
    begins = begins or call('HINCRBY', P .. 'ys', 'last', 1)
    call('HSET', P .. 'yb', channel, text(begins))
  end
  call('ZADD', P .. 'yl:' .. channel, lease_end, ARGV[2])
  note_heard(channel)
end
return 1
