-- Concurrency keys: km their maxima; ku:<key> its unfinished jobs, kr:<key> those that hold
-- its places: jobs while they run, drivers from their first start to the ends of their runs. A place is a queue, lane and
-- name: kb:<key> the places with blocked rows, kz:<key, place> those rows, kg:<key, place> the rows in the ready index,
-- both in the order of claims. kk all keys with blocked rows; bl:<queue> the rows that are blocked in a queue.
local left = {}

local function place_of(row)
  return pair(row.q, pair(row.l or '', row.n))
end

local function note_key(row)
  if row.ck then
    left[row.ck] = true
  end
end

local function join_key(id, row)
  if row.ck then
    call('SADD', P .. 'ku:' .. row.ck, id)
  end
end

-- The row has ended, or takes another key.
local function part_key(id, row)
  if row.ck then
    call('SREM', P .. 'ku:' .. row.ck, id)
    call('SREM', P .. 'kr:' .. row.ck, id)
    left[row.ck] = true
  end
end

local function key_room(key, most)
  return math.max(0, (tonumber(call('HGET', P .. 'km', key) or nil) or most) - call('SCARD', P .. 'kr:' .. key))
end

local function holds_place(id, row)
  return call('SISMEMBER', P .. 'kr:' .. row.ck, id) == 1
end

-- Whether the row needs a place of its key and there is none; a run that expired before it began only compensates.
local function key_full(id, row)
  if not row.ck or key_room(row.ck, tonumber(row.cm or 1)) > 0 then
    return false
  end
  return not holds_place(id, row) and not (row.ex and not row.sa and tonumber(row.ex) < NOW)
end

-- Keeps a due row, which stands nowhere, out of the workers' way until its key has room.
local function block(id, row)
  local place = place_of(row)
  call('HSET', P .. 'j:' .. id, 'bl', '1')
  row.bl = '1'
  call('ZADD', P .. 'kz:' .. pair(row.ck, place), -tonumber(row.o or 0), stamp(row.r) .. id)
  call('SADD', P .. 'kb:' .. row.ck, place)
  call('ZADD', P .. 'kk', 0, row.ck)
  call('SADD', P .. 'bl:' .. row.q, id)
end

local function forget_block(id, row)
  local place = place_of(row)
  local blocked = P .. 'kz:' .. pair(row.ck, place)
  call('ZREM', blocked, stamp(row.r) .. id)
  if call('EXISTS', blocked) == 0 then
    call('SREM', P .. 'kb:' .. row.ck, place)
    if call('EXISTS', P .. 'kb:' .. row.ck) == 0 then
      call('ZREM', P .. 'kk', row.ck)
    end
  end
  call('SREM', P .. 'bl:' .. row.q, id)
  call('HDEL', P .. 'j:' .. id, 'bl')
  row.bl = nil
end

-- A row of the key, that needs a place, enters or leaves the ready index.
local function key_ready(id, row)
  if row.ck and not holds_place(id, row) then
    call('ZADD', P .. 'kg:' .. pair(row.ck, place_of(row)), -tonumber(row.o or 0), stamp(row.r) .. id)
  end
end

local function key_unready(id, row)
  if row.ck then
    call('ZREM', P .. 'kg:' .. pair(row.ck, place_of(row)), stamp(row.r) .. id)
  end
end
