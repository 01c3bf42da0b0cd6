-- Makes a worker leader in a new term if nobody's term runs; answers leader, term and end of whoever leads then.
-- flags: allow-oom
-- wakes: seldom
-- parts: base
-- ARGV: now, worker, lease (microseconds).
local key, until_ = P .. 'leader', text(NOW + tonumber(ARGV[3]))
local row = call('HMGET', key, 'leader', 'term', 'until')
local running = row[1] and tonumber(row[3]) > NOW
if running and row[1] ~= ARGV[2] then
  return row
end
local term = running and row[2] or text(tonumber(row[2] or 0) + 1)
call('HSET', key, 'leader', ARGV[2], 'term', term, 'until', until_)
if not running then
  wake()
end
return {ARGV[2], term, until_}
