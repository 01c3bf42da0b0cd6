-- Where waiting rows stand, each in one place unless it waits behind a running job. Members are stamp(run_at) .. id.
--   r:<queue, name, lane>  due rows by priority (highest first), run_at, id
--   l:<queue, name>        the lanes that have some; rn:<queue> the names that have lanes
--   d:<queue, name>        rows of a later time, by time; nx:<queue> when each name's first one is due
--   qq:<queue>             rows that crashed too many workers, in the order of due ones
--   as:<queue, name>       rows set aside, by time; an:<queue> the names that have some
-- A row that is due at NEVER, a run's that sleeps until it is woken, stands nowhere.
local QUARANTINE_FROM = 2
local NEVER = '253402214400000000'
local joining = {}

local function join(queue, name, lane, priority, member)
  local key = ready_key(queue, name, lane)
  local to = joining[key]
  if not to then
    to = {queue = queue, name = name, lane = lane, members = {}}
    joining[key] = to
  end
  to.members[#to.members + 1] = -priority
  to.members[#to.members + 1] = member
end

-- Puts a waiting row that is not blocked where it belongs; due rows are only noted, until `joined`.
local function place_row(id, row)
  if row.b or row.r == NEVER then
    return
  end
  local queue, name, priority = row.q, row.n, tonumber(row.o or 0)
  local member = stamp(row.r) .. id
  if row.as then
    call('ZADD', P .. 'as:' .. pair(queue, name), 0, member)
    call('SADD', P .. 'an:' .. queue, name)
  elseif tonumber(row.x or 0) >= QUARANTINE_FROM then
    call('ZADD', P .. 'qq:' .. queue, -priority, member)
  elseif tonumber(row.r) > NOW then
    call('ZADD', P .. 'd:' .. pair(queue, name), 0, member)
    call('ZADD', P .. 'nx:' .. queue, 'LT', row.r, name)
  else
    key_ready(id, row)
    join(queue, name, row.l or '', priority, member)
  end
end

local function joined()
  for key, to in pairs(joining) do
    call('ZADD', key, unpack(to.members))
    call('ZADD', P .. 'l:' .. pair(to.queue, to.name), 0, to.lane)
    call('SADD', P .. 'rn:' .. to.queue, to.name)
  end
  joining = {}
end
