-- Extends a term, or ends it (lease '').
-- flags: allow-oom
-- wakes: seldom
-- parts: base
-- ARGV: now, worker, term, lease (microseconds).
local key = P .. 'leader'
local row = call('HMGET', key, 'leader', 'term')
if row[1] ~= ARGV[2] or row[2] ~= ARGV[3] then
  return 'stale'
end
if ARGV[4] == '' then
  call('HSET', key, 'until', '0')
  wake()
else
  call('HSET', key, 'until', text(NOW + tonumber(ARGV[4])))
end
return 'applied'
