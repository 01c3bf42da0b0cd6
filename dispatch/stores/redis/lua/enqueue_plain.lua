-- Enqueues jobs that have no keys, no expiry, no lane and no tenant: what `enqueue` does, in a straight line.
-- parts: base keys feed tells concurrency place
-- ARGV: now, token ('' where the call comes as a whole), jobs as in inserts.lua.
if ARGV[2] ~= '' and call('EXISTS', P .. 'veto:' .. ARGV[2]) == 1 then
  return {}
end
local answers, queues, at, made, told = {}, {}, 3, false, heard('job.enqueued')

-- What the jobs of one queue, name and kind have in common.
local function group_of(queue, name, kind)
  local names = queues[queue]
  if not names then
    names = {}
    queues[queue] = names
    call('SADD', P .. 'q', queue)
  end
  local group = names[kind .. ':' .. name]
  if not group then
    group = {cell = cell_of(kind, queue, name), entry = kind .. ':' .. name, listed = {}, later = {}}
    names[group.entry] = group
    call('SADD', P .. 'c:' .. queue, group.entry)
  end
  return group
end

local function flush(queue, group)
  local listed = group.listed
  if #listed == 0 then
    return
  end
  call('ZADD', P .. 's:P:' .. group.cell, unpack(listed))
  group.listed = {}
end

while at <= #ARGV do
  local id, queue, name, kind = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local when, first, last = ARGV[at + 5], at + 9, at + 8 + ARGV[at + 8]
  local key = P .. 'j:' .. id
  if call('EXISTS', key) == 1 then
    answers[#answers + 1] = '0' .. id
  else
    local group = group_of(queue, name, kind)
    local due = when == '' and NOW_TEXT or when:sub(1, 1) == '+' and text(NOW + tonumber(when:sub(2))) or when
    call('HSET', key, 'st', 'P', 'c', NOW_TEXT, 'r', due, unpack(ARGV, first, last))
    local listed = group.listed
    listed[#listed + 1] = 0
    listed[#listed + 1] = id
    if when == '' then
      join(queue, name, '', tonumber(ARGV[at + 4]), NOW_STAMP .. id)
    else
      place_row(id, {q = queue, n = name, o = ARGV[at + 4], r = due})
    end
    if told then
      tell_job('job.enqueued', id, {k = kind, n = name, q = queue})
    end
    answers[#answers + 1] = '1' .. id
    made = true
  end
  at = last + 1
end
for queue, names in pairs(queues) do
  for _, group in pairs(names) do
    flush(queue, group)
  end
end
joined()
if made then
  wake()
end
return answers
