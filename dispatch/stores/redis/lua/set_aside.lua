-- Takes jobs that nobody serves out of their lanes, from the heads on.
-- flags: allow-oom
-- wakes: seldom
-- parts: base keys rows moves concurrency place ready admit runs
-- ARGV: now, number of the registration that this was decided by, limit, due for (microseconds), queue and name each.
-- Answers how many; -1 when somebody registered meanwhile, who may serve them.
if (call('GET', P .. 'registrations') or '0') ~= ARGV[2] then
  return -1
end
local limit, due = tonumber(ARGV[3]), stamp(NOW - tonumber(ARGV[4]))
local count = 0

local function take_priority(queue, name, lane, priority)
  local key = ready_key(queue, name, lane)
  local found = call('ZRANGEBYSCORE', key, priority, priority, 'LIMIT', 0, limit - count)
  local gone = {}
  for _, member in ipairs(found) do
    if member:sub(1, 18) > due then
      break
    end
    gone[#gone + 1] = member
    local id = member:sub(19)
    local row = call('HMGET', job_key(id), 'ck', 'o', 'r', 'k', 'ri')
    if row[1] then
      local keyed = {ck = row[1], o = row[2] or '0', r = row[3], q = queue, n = name, l = lane}
      key_unready(id, keyed)
      note_key(keyed)
    end
    local run = driven({k = row[4], ri = row[5]})
    if run then
      block_run(row[5], run, 'no live worker serves ' .. name)
    end
    call('HSET', job_key(id), 'as', '1', 'u', NOW_TEXT)
    call('ZADD', P .. 'as:' .. pair(queue, name), 0, member)
  end
  if #gone > 0 then
    count = count + #gone
    call('SADD', P .. 'an:' .. queue, name)
    call('ZREM', key, unpack(gone))
    close_lane(queue, name, lane)
  end
end

for i = 5, #ARGV, 2 do
  local queue, name = ARGV[i], ARGV[i + 1]
  promote(queue, {[name] = true}, 200)
  for _, lane in ipairs(call('ZRANGE', P .. 'l:' .. pair(queue, name), 0, 999)) do
    local after = '-inf'
    while count < limit do
      local first = call('ZRANGEBYSCORE', ready_key(queue, name, lane), after, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
      if #first == 0 then
        break
      end
      take_priority(queue, name, lane, first[2])
      after = '(' .. first[2]
    end
  end
end
admit_left()
joined()
if count > 0 then
  wake()
end
return count
