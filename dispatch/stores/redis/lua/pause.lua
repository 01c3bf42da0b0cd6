-- Stops claims from a queue.
-- parts: base
-- ARGV: now, queue, by, reason, duration (microseconds; '' until resumed).
local key = P .. 'qs:' .. ARGV[2]
call('HDEL', key, 'pu')
call('HSET', key, 'set', '1', 'ps', NOW_TEXT, 'pb', ARGV[3], 'pr', ARGV[4])
if ARGV[5] ~= '' then
  call('HSET', key, 'pu', text(NOW + tonumber(ARGV[5])))
end
call('SADD', P .. 'q', ARGV[2])
wake()
return 1
