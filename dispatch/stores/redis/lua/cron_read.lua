-- Cron entries, and what is announced by whom.
-- flags: no-writes
-- parts: base
-- ARGV: now, what ("entries", "all", or the id of one entry).
-- Answers the time, the number of the last change, entries, codes, announcements, workers.
local entries, workers = {}, {}
for _, id in ipairs((ARGV[2] == 'entries' or ARGV[2] == 'all') and call('SMEMBERS', P .. 'cs') or {ARGV[2]}) do
  local row, flat = hash(P .. 'cr:' .. id)
  if row then
    entries[#entries + 1] = {id, flat}
  end
end
if ARGV[2] ~= 'all' then
  return {NOW_TEXT, call('GET', P .. 'cv') or '0', entries, {}, {}, {}}
end
local announced = call('HGETALL', P .. 'cw')
for i = 1, #announced, 2 do
  local row = call('HMGET', P .. 'w:' .. announced[i], 'st', 'seen', 'lease')
  workers[#workers + 1] = row[1] or 'dead'
  workers[#workers + 1] = (row[1] and tonumber(row[2]) + tonumber(row[3]) >= NOW) and '1' or '0'
end
return {NOW_TEXT, call('GET', P .. 'cv') or '0', entries, call('HGETALL', P .. 'cc'), announced, workers}
