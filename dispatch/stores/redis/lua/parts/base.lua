-- What every script begins with: where its keys are, what time it is, and how rows are read.
-- KEYS[1] is the namespace's prefix, KEYS[2] it and the client's name, ARGV[1] the time in microseconds where a test owns
-- the clock, else ''.
local call, P = redis.call, KEYS[1]
local NOW = tonumber(ARGV[1])
if not NOW then
  local clock = call('TIME')
  NOW = clock[1] * 1000000 + clock[2]
end

-- A whole number as text: Lua's own way would write 1.8e+15.
local function text(number)
  return string.format('%.0f', number)
end
local NOW_TEXT = text(NOW)

-- A time as 18 digits that sort as the times do, also those before 1970.
local function stamp(micros)
  local number = tonumber(micros)
  if number < 0 then
    return string.format('0%017.0f', 1e17 + number)
  end
  return string.format('1%017.0f', number)
end

local NOW_STAMP = stamp(NOW)

-- Two texts as one that no other two make.
local function pair(a, b)
  return #a .. ':' .. a .. b
end

-- A flat list of fields and values as a table.
local function table_of(flat)
  local row = {}
  for i = 1, #flat, 2 do
    row[flat[i]] = flat[i + 1]
  end
  return row
end

-- A hash as a table, and as the flat list it came as; nil when there is none.
local function hash(key)
  local flat = call('HGETALL', key)
  if #flat == 0 then
    return nil
  end
  return table_of(flat), flat
end

-- Tells whoever waits that something changed.
local function wake()
  call('PUBLISH', P .. 'wake', KEYS[2])
end
