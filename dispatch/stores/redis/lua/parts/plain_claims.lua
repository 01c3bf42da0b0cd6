-- The short way to running, in front of all that the long one needs: for due rows whose start changes nothing but the row
-- and the indexes of its cell. A claim from queues without gates in which no more than one name has due rows, in one lane,
-- ends here, unless it meets another kind of row, or somebody listens to the feed; claim.lua goes on with what is left.
local worker, limit, lease, alone = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local queues, names = {}, {}
for i = 7, 5 + 2 * ARGV[6], 2 do
  queues[#queues + 1] = {name = ARGV[i], cap = tonumber(ARGV[i + 1])}
end
for i = 7 + 2 * ARGV[6], #ARGV do
  names[ARGV[i]] = true
end

-- What was taken: of each row the id with its epoch and the row or, of a new one of `short_queue` and `short_name`, with
-- when it was made and its payload.
local claimed, count, short_queue, short_name = {}, 0, '', ''
local lease_until, epoch_floor = text(NOW + lease), math.floor(NOW / 1000)
local floor_text = text(epoch_floor)

-- What keeps a row off the short way: keys, a tenant, an end of its time, a driver's kind.
local ODD = {ck = true, ap = true, og = true, uu = true, ex = true, k = true}
-- What keeps it off the short way to completed.
local LATER_ODD = {cr = true, dl = true, sp = true, re = true}
local NEW_FIELDS = 12
-- Rows taken in the short way: by state and cell the ids; those of the running ones with the ends of their leases; and
-- what the worker holds.
local plainly, leased, held = {P = {}, T = {}}, {}, {}

-- Takes a row; answers false, with nothing done, when the short way is not open to it. `short`: a new one is told in short.
local function start_plain(id, cell, short)
  local key = P .. 'j:' .. id
  local flat = call('HGETALL', key)
  local state, epoch, left, odd, created, run_at, payload
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    if field == 'p' then
      payload = value
    elseif field == 'st' then
      state = value
    elseif field == 'c' then
      created = value
    elseif field == 'r' then
      run_at = value
    elseif field == 'e' then
      epoch = tonumber(value) + 1
    elseif field == 'la' then
      left = true
    elseif ODD[field] then
      return false
    elseif LATER_ODD[field] then
      odd = true
    end
  end
  if not plainly[state] then
    return false
  end
  local epoch_text = floor_text
  if epoch and epoch > epoch_floor then
    epoch_text = text(epoch)
  else
    epoch = epoch_floor
  end
  call('HSET', key, 'st', 'R', 'w', worker, 'e', epoch_text, 'sa', NOW_TEXT)
  if left then
    call('HDEL', key, 'la')
  end
  local ids, running = plainly[state][cell], leased[cell]
  if not ids then
    ids = {}
    plainly[state][cell] = ids
  end
  if not running then
    running = {}
    leased[cell] = running
  end
  ids[#ids + 1] = id
  local last = #running
  running[last + 1], running[last + 2] = lease_until, id
  last = #held
  held[last + 1], held[last + 2] = id, epoch_text .. ':' .. (odd and '' or cell)
  last, count = 3 * count, count + 1
  if short and #flat == NEW_FIELDS and created == run_at then
    claimed[last + 1], claimed[last + 2], claimed[last + 3] = id, created, payload
  else
    claimed[last + 1], claimed[last + 2], claimed[last + 3] = id, epoch, flat
  end
  return true, flat
end

-- Writes the indexes of the rows that were taken in the short way, and notes all that were taken as held.
local function settle_plain()
  for state, cells in pairs(plainly) do
    for cell, ids in pairs(cells) do
      call('ZREM', P .. 's:' .. state .. ':' .. cell, unpack(ids))
    end
  end
  for cell, running in pairs(leased) do
    call('ZADD', P .. 's:R:' .. cell, unpack(running))
  end
  if #held > 0 then
    call('HSET', P .. 'h:' .. worker, unpack(held))
  end
end

-- The only queue with due rows that may be taken, with the only name of such rows, and their only lane; or nothing where
-- there are none. The second answer: whether the short way is open, and nothing but those rows is to be looked at.
local function only_due()
  local others, due = {P .. 'fb', P .. 'yh'}, nil
  for _, queue in ipairs(queues) do
    others[#others + 1] = alone and P .. 'qq:' .. queue.name or nil
  end
  if limit < 1 or call('EXISTS', unpack(others)) > 0 then
    return nil, false
  end
  for _, queue in ipairs(queues) do
    local set = call('HMGET', P .. 'qs:' .. queue.name, 'mc', 'rl', 'tc', 'ps', 'lane')
    local later = call('ZRANGE', P .. 'nx:' .. queue.name, 0, 0, 'WITHSCORES')
    queue.later = tonumber(later[2])
    if set[1] or set[2] or set[3] or set[4] or (queue.later and (queue.later <= NOW or not names[later[1]])) then
      return nil, false
    end
    for _, name in ipairs(call('SMEMBERS', P .. 'rn:' .. queue.name)) do
      if names[name] and due then
        return nil, false
      elseif names[name] then
        due = {queue = queue, name = name, served = set[5]}
      end
    end
  end
  if due then
    local lanes = call('ZRANGE', P .. 'l:' .. pair(due.queue.name, due.name), 0, 1)
    due.lane = lanes[1]
    return due, #lanes == 1
  end
  return nil, true
end

do
  local due, open = only_due()
  if open and due then
    local queue, name, lane = due.queue, due.name, due.lane
    local key, cell = ready_key(queue.name, name, lane), cell_of('job', queue.name, name)
    short_queue, short_name = queue.name, name
    local members = call('ZRANGE', key, 0, math.min(limit, queue.cap) - 1)
    for _, member in ipairs(members) do
      if member:sub(1, 18) > NOW_STAMP or not start_plain(member:sub(19), cell, true) then
        open = false
        break
      end
    end
    if count > 0 then
      queue.cap = queue.cap - count
      call('ZREMRANGEBYRANK', key, 0, count - 1)
      close_lane(queue.name, name, lane)
      if lane ~= due.served then
        call('HSET', P .. 'qs:' .. queue.name, 'lane', lane)
      end
    end
  end
  if open then
    local again
    for _, queue in ipairs(queues) do
      if count < limit and queue.cap > 0 and queue.later then
        again = math.min(again or queue.later, queue.later)
      end
    end
    settle_plain()
    return {claimed, {}, again and text(again) or '', NOW_TEXT, short_queue, short_name, epoch_floor}
  end
end
