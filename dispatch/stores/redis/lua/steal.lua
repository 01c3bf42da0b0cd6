-- Takes running jobs with a lapsed lease, longest lapsed first, from whoever held them.
-- flags: allow-oom
-- wakes: seldom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation cancels channels_of_events driving
-- ARGV: now, limit, max_crashes, number of delays, delays (microseconds), ids for dead letters.
-- Answers for each the worker it had, the dead letter's id, and the row.
local limit, max_crashes, count = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local letters = 5 + count
local lapsed, stolen = {}, {}

-- Of a cell, with the ends of their leases; ids whose row is gone, as on a server that evicts keys, leave the index.
local function lapsed_in(key)
  while true do
    local found, gone = call('ZRANGEBYSCORE', key, '-inf', '(' .. NOW_TEXT, 'WITHSCORES', 'LIMIT', 0, limit), {}
    for i = 1, #found, 2 do
      if call('EXISTS', job_key(found[i])) == 0 then
        gone[#gone + 1] = found[i]
      end
    end
    if #gone == 0 then
      return found
    end
    call('ZREM', key, unpack(gone))
  end
end

each_cell(nil, nil, nil, function(cell)
  local found = lapsed_in(P .. 's:R:' .. cell)
  for i = 1, #found, 2 do
    lapsed[#lapsed + 1] = {id = found[i], lease = tonumber(found[i + 1])}
  end
end)
table.sort(lapsed, function(a, b)
  if a.lease ~= b.lease then
    return a.lease < b.lease
  end
  return a.id < b.id
end)

local answers = {}
for number = 1, math.min(limit, #lapsed) do
  local id = lapsed[number].id
  local row, letter = job(id), ''
  local from, crashes = row.w, tonumber(row.x or 0) + 1
  local message = 'worker ' .. from .. ' was lost while it ran this job (crash ' .. text(crashes) .. ')'
  add_attempt(id, row, 'crashed', 'WorkerLost', message, nil)
  stop(id, row)
  call('HSET', job_key(id), 'x', text(crashes))
  call('HDEL', job_key(id), 'w', 'dl')
  row.x, row.w, row.dl = text(crashes), nil, nil
  local run = driven(row)
  if run and not row.cr and (not run.co or (crashes > max_crashes and not run.et)) then -- else why it compensates is what it ends with
    note_run_error(row.ri, run, 'WorkerLost', message, nil)
  end
  if run and (row.cr or crashes > max_crashes) then
    if lose_driver(id, row, row.ri, run, ARGV[letters]) then
      letter, letters = ARGV[letters], letters + 1
    end
  elseif row.cr then
    conclude(id, row, 'X', row.cr)
  elseif crashes > max_crashes then
    conclude(id, row, 'F', 'worker_lost')
    letter, letters = ARGV[letters], letters + 1
    bury(id, row, 'worker_lost', letter)
  else
    local delay = count > 0 and tonumber(ARGV[4 + math.min(crashes, count)]) or 0
    wait(id, row, text(NOW + delay))
    tell_retry(id, row, tonumber(row.f or 0) + 1)
  end
  stolen[#stolen + 1] = {id, from, letter}
end
admit_left()
joined()
settle()
for _, one in ipairs(stolen) do
  answers[#answers + 1] = {one[2], one[3], show(one[1])}
end
if #stolen > 0 then
  wake()
end
return answers
