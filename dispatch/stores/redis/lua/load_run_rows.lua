-- Writes runs, or what is theirs, as they are, each unless it is there already.
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation cancels channels_of_events driving journal
-- ARGV: now, kind, rows. Of "check" ids of runs: answers the first that is not there, or ''. Of "runs" id, number of fields, fields,
-- number of groups, those (mode, number of steps, steps). Of "checkpoints" the run and the parts of the journal. Of "child_results" run, step
-- and what is kept. Of "waits" run, name, what is kept, key ('=' and the text, or ''), number of events, events. Answers how
-- many were not there.
local kind, at, count = ARGV[2], 3, 0

local function next_argument()
  at = at + 1
  return ARGV[at - 1]
end

local function next_many()
  local number = tonumber(next_argument())
  at = at + number
  return {unpack(ARGV, at - number, at - 1)}
end

local function insert_between(run_id, parts)
  local journal, placed = call('LRANGE', P .. 'fj:' .. run_id, 0, -1), {}
  call('DEL', P .. 'fj:' .. run_id, P .. 'fn:' .. run_id)
  for i = 1, #journal, STRIDE do
    local one = {unpack(journal, i, i + STRIDE - 1)}
    if not placed.done and tonumber(one[STRIDE]) > tonumber(parts[STRIDE]) then
      append_checkpoint(run_id, parts)
      placed.done = true
    end
    append_checkpoint(run_id, one)
  end
end

local function position_taken(run_id, position)
  for i = 1, call('HLEN', P .. 'fn:' .. run_id) do
    if call('LINDEX', P .. 'fj:' .. run_id, i * STRIDE - 1) == position then
      return true
    end
  end
  return false
end

local loads = {
  runs = function()
    local id, fields, run = next_argument(), next_many(), {}
    local groups = {}
    for number = 1, tonumber(next_argument()) do
      groups[number] = {mode = next_argument(), steps = next_many()}
    end
    if run_of(id) then
      return false
    end
    for i = 1, #fields, 2 do
      run[fields[i]] = fields[i + 1]
    end
    call('HSET', run_key(id), unpack(fields))
    local modes = {}
    for number, group in ipairs(groups) do
      modes[number] = group.mode
      if #group.steps > 0 then
        in_chunks('SADD', P .. 'fo:' .. pair(id, text(number)), group.steps)
      end
    end
    if run.pk then
      call('HSET', run_key(id), 'go', table.concat(modes))
    end
    call('SADD', P .. 'fa', run.n)
    call('ZADD', P .. 'fi', 0, id)
    if run.pa then
      call('SADD', P .. 'fk:' .. run.pa, id)
    end
    index_run(id, run, true)
    return true
  end,
  checkpoints = function()
    local run_id, parts = next_argument(), next_many()
    local event, position = parts[10], tonumber(parts[STRIDE])
    if call('HEXISTS', P .. 'fn:' .. run_id, parts[2]) == 1
      or (event ~= '' and call('SISMEMBER', P .. 'fc:' .. run_id, event) == 1) then
      return false
    end
    if position > last_position(run_id) then
      append_checkpoint(run_id, parts)
    elseif position_taken(run_id, parts[STRIDE]) then
      return false
    else
      insert_between(run_id, parts)
    end
    return true
  end,
  child_results = function()
    local run_id, step, packed = next_argument(), next_argument(), next_argument()
    return call('HSETNX', P .. 'fr:' .. run_id, step, packed) == 1
  end,
  waits = function()
    local run_id, name, stored, key, events = next_argument(), next_argument(), next_argument(), next_argument(), next_many()
    if call('HSETNX', P .. 'fw:' .. run_id, name, stored) == 0 then
      return false
    end
    local tenant = tenant_of(run_of(run_id))
    for _, event in ipairs(events) do
      local channel = channel_of(event, key ~= '' and key:sub(2) or nil, tenant)
      call('ZADD', P .. 'fv:' .. channel, 0, pair(run_id, name))
    end
    return true
  end,
}
if kind == 'check' then
  for i = 3, #ARGV do
    if not run_of(ARGV[i]) then
      return ARGV[i]
    end
  end
  return ''
end
while at <= #ARGV do
  if loads[kind]() then
    count = count + 1
  end
end
wake()
return count
