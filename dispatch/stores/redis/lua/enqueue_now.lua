-- Enqueues jobs that are due at once and have no keys, no expiry, no lane and no tenant: `enqueue_plain` for the most usual
-- ones, in the straightest line.
-- parts: single base keys feed tells
-- ARGV: now, then groups of jobs that differ in id and payload only: queue, name, kind, priority, the number of fields
-- that they share and those, the number of jobs and the id and payload of each. Answers for each whether it is new, and
-- the id; or 1 for one job that is.
local answers, at, made, seen = {}, 2, false, {}

while at <= #ARGV do
  local queue, name, kind, priority = ARGV[at], ARGV[at + 1], ARGV[at + 2], text(-ARGV[at + 3])
  local last = at + 4 + ARGV[at + 4]
  local shared = {'st', 'P', 'c', NOW_TEXT, 'r', NOW_TEXT, unpack(ARGV, at + 5, last)}
  local first, count = last + 2, tonumber(ARGV[last + 1])
  at = first + 2 * count
  local keys, listed, ready = {}, {}, {}
  for i = first, at - 1, 2 do
    keys[#keys + 1] = P .. 'j:' .. ARGV[i]
  end
  local new, told = call('EXISTS', unpack(keys)) == 0, heard('job.enqueued')
  for i = first, at - 1, 2 do
    local id = ARGV[i]
    local key = P .. 'j:' .. id
    if seen[id] or not (new or call('EXISTS', key) == 0) then
      answers[#answers + 1] = '0' .. id
    else
      seen[id] = true
      call('HSET', key, 'p', ARGV[i + 1], unpack(shared))
      listed[#listed + 1] = '0'
      listed[#listed + 1] = id
      ready[#ready + 1] = priority
      ready[#ready + 1] = NOW_STAMP .. id
      if told then
        tell_job('job.enqueued', id, {k = kind, n = name, q = queue})
      end
      answers[#answers + 1] = '1' .. id
    end
  end
  if #listed > 0 then
    local cell, lane = P .. 's:P:' .. cell_of(kind, queue, name), ready_key(queue, name, '')
    if call('EXISTS', cell, lane) < 2 then
      call('SADD', P .. 'q', queue)
      call('SADD', P .. 'c:' .. queue, kind .. ':' .. name)
      call('ZADD', P .. 'l:' .. pair(queue, name), 0, '')
      call('SADD', P .. 'rn:' .. queue, name)
    end
    call('ZADD', cell, unpack(listed))
    call('ZADD', lane, unpack(ready))
    made = true
  end
end
if made then
  wake()
end
return answers
