-- Where waiting rows stand, each in one place unless it waits behind a running job. Members are stamp(run_at) .. id.
--   r:<queue, name, lane>  due rows by priority (highest first), run_at, id
--   l:<queue, name>        the lanes that have some; rn:<queue> the names that have lanes
--   d:<queue, name>        rows of a later time, by time; nx:<queue> when each name's first one is due
--   qq:<queue>             rows that crashed too many workers, in the order of due ones
--   as:<queue, name>       rows set aside, by time; an:<queue> the names that have some
local QUARANTINE_FROM = 2
local joining = {}

local function ready_key(queue, name, lane)
  return P .. 'r:' .. pair(queue, pair(name, lane))
end

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

-- Puts a waiting row where it belongs; due rows are only noted, until `joined`.
local function place(id, row)
  if row.b then
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

-- Forgets a lane that has become empty, and its name when it was the last.
local function close_lane(queue, name, lane)
  if call('EXISTS', ready_key(queue, name, lane)) == 0 then
    local lanes = P .. 'l:' .. pair(queue, name)
    call('ZREM', lanes, lane)
    if call('EXISTS', lanes) == 0 then
      call('SREM', P .. 'rn:' .. queue, name)
    end
  end
end

-- Notes when the first later row of a name is due.
local function note_next(queue, name)
  local first = call('ZRANGE', P .. 'd:' .. pair(queue, name), 0, 0)[1]
  if first then
    call('ZADD', P .. 'nx:' .. queue, first:sub(2, 18), name)
  else
    call('ZREM', P .. 'nx:' .. queue, name)
  end
end

-- Takes a waiting row out of where it stands.
local function lift(id, row)
  if row.b then
    return
  end
  joined()
  local queue, name = row.q, row.n
  local member = stamp(row.r) .. id
  if row.as then
    call('ZREM', P .. 'as:' .. pair(queue, name), member)
    if call('EXISTS', P .. 'as:' .. pair(queue, name)) == 0 then
      call('SREM', P .. 'an:' .. queue, name)
    end
  elseif tonumber(row.x or 0) >= QUARANTINE_FROM then
    call('ZREM', P .. 'qq:' .. queue, member)
  elseif call('ZREM', ready_key(queue, name, row.l or ''), member) == 1 then
    close_lane(queue, name, row.l or '')
  elseif call('ZREM', P .. 'd:' .. pair(queue, name), member) == 1 then
    note_next(queue, name)
  end
end

-- Moves at most `budget` rows that have become due into their lanes (names nil: any); answers what is left of it.
local function promote(queue, names, budget)
  local due = NOW and stamp(NOW)
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'nx:' .. queue, '-inf', NOW)) do
    if budget <= 0 then
      break
    end
    if not names or names[name] then
      local key, count = P .. 'd:' .. pair(queue, name), 0
      for _, member in ipairs(call('ZRANGE', key, 0, budget - 1)) do
        if member:sub(1, 18) > due then
          break
        end
        count = count + 1
        local row = call('HMGET', job_key(member:sub(19)), 'st', 'l', 'o')
        if row[1] then
          join(queue, name, row[2] or '', tonumber(row[3] or 0), member)
        end
      end
      if count > 0 then
        call('ZREMRANGEBYRANK', key, 0, count - 1)
        budget = budget - count
      end
      note_next(queue, name)
    end
  end
  joined()
  return budget
end
