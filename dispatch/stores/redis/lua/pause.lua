-- Stops claims from a queue; another's pause that ends later stays unless it is forced. Answers the pause that stands.
-- parts: base
-- ARGV: now, queue, by, reason, duration (microseconds; '' until resumed), force ('1' or '').
local key = P .. 'qs:' .. ARGV[2]
local ends = ARGV[5] ~= '' and NOW + tonumber(ARGV[5]) or nil
local row = call('HMGET', key, 'pb', 'pr', 'pu', 'ps')
if ARGV[6] == '' and row[4] and row[1] ~= ARGV[3] and ends and (not row[3] or tonumber(row[3]) > ends) then
  return row
end
call('HDEL', key, 'pu')
call('HSET', key, 'set', '1', 'ps', NOW_TEXT, 'pb', ARGV[3], 'pr', ARGV[4])
if ends then
  call('HSET', key, 'pu', text(ends))
end
call('SADD', P .. 'q', ARGV[2])
wake()
return call('HMGET', key, 'pb', 'pr', 'pu', 'ps')
