-- Extends the leases of claims that still hold.
-- flags: allow-oom
-- parts: base keys rows
-- ARGV: now, worker, lease (microseconds), whether to tell everything that runs in the worker's name, id and epoch each.
-- Answers what is held, what of it shall stop, and id and epoch of all that runs in the worker's name.
local worker, lease_until = ARGV[2], text(NOW + tonumber(ARGV[3]))
local held, stopping, all = {}, {}, {}
for i = 5, #ARGV, 2 do
  local id = ARGV[i]
  local row = call('HMGET', job_key(id), 'st', 'w', 'e', 'cr', 'k', 'q', 'n')
  if row[1] == 'R' and row[2] == worker and (row[3] or '0') == ARGV[i + 1] then
    call('ZADD', P .. 's:R:' .. cell_of(row[5] or 'job', row[6], row[7]), 'XX', lease_until, id)
    held[#held + 1] = id
    if row[4] then
      stopping[#stopping + 1] = id
    end
  end
end
if ARGV[4] == '1' then
  all = call('HGETALL', P .. 'h:' .. worker)
  for i = 2, #all, 2 do
    all[i] = all[i]:match('^%d+')
  end
end
return {held, stopping, all}
