-- Cron entries: cr:<id> hashes; cs all ids; cn the id by "<tenant, name>"; cd when each may fire next; cv a number that
-- every change of them raises. Ticks: ct:<id> a hash of JSON by time, co:<id> the times, ca "<id>:<time>" by when they
-- were written. What code announces: cc a hash of "<first seen>:<spec>" by digest, cw of digests (JSON) by worker.
local function note_due(id, row)
  local due = row.orphaned ~= '1' and tonumber(row.next)
  if due and row.enabled ~= '1' then
    due = row.until_ and math.max(due, tonumber(row.until_))
  end
  if due then
    call('ZADD', P .. 'cd', due, id)
  else
    call('ZREM', P .. 'cd', id)
  end
end

local function forget_ticks(id)
  for _, time in ipairs(call('ZRANGE', P .. 'co:' .. id, 0, -1)) do
    call('ZREM', P .. 'ca', id .. ':' .. time)
  end
  call('DEL', P .. 'ct:' .. id, P .. 'co:' .. id)
end
