-- Brings back blocked rows once their keys have room.
local EXTRA = 200

-- How many members of a sorted set stand before a place.
local function before(key, score, member)
  local low = call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if call('ZRANGE', key, middle, middle)[1] < member then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function admit_place(key, place, most)
  local blocked = P .. 'kz:' .. pair(key, place)
  local first = call('ZRANGE', blocked, 0, 0, 'WITHSCORES')
  if #first == 0 then
    return 0
  end
  local room, count = most - before(P .. 'kg:' .. pair(key, place), first[2], first[1]), 0
  if room <= 0 then
    return 0
  end
  for _, member in ipairs(call('ZRANGE', blocked, 0, room + EXTRA - 1)) do
    if room <= 0 then
      break
    end
    local id = member:sub(19)
    local row = job(id)
    forget_block(id, row)
    place_row(id, row)
    count = count + 1
    if tonumber(row.x or 0) < QUARANTINE_FROM and (not row.ex or row.sa or tonumber(row.ex) >= NOW) then
      room = room - 1
    end
  end
  return count
end

-- Brings back what there is room for of a key; forgets the key that nobody has.
local function admit(key)
  local most, count = call('HGET', P .. 'km', key), 0
  if most and call('EXISTS', P .. 'ku:' .. key) == 0 then
    call('HDEL', P .. 'km', key)
    return 0
  end
  local room = most and key_room(key) or 0
  if room > 0 then
    for _, place in ipairs(call('SMEMBERS', P .. 'kb:' .. key)) do
      count = count + admit_place(key, place, room)
    end
  end
  return count
end

local function admit_left()
  for key in pairs(left) do
    admit(key)
  end
  left = {}
end
