-- Ends a pause.
-- flags: allow-oom
-- parts: base
-- ARGV: now, queue.
local key = P .. 'qs:' .. ARGV[2]
local row = call('HMGET', key, 'ps', 'pu')
if not row[1] or (row[2] and tonumber(row[2]) <= NOW) then
  return 'conflict'
end
call('HDEL', key, 'ps', 'pu', 'pb', 'pr')
wake()
return 'applied'
