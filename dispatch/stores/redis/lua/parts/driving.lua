-- What becomes of a run and its driver together: it ends, it is cancelled.
-- Asks for the end of a run; answers false when it has ended or compensates already.
local function cancel_run(run_id, run, reason)
  if ended(run) or run.co then
    return false
  end
  local id = driver_of(run_id)
  local row = job(id)
  if row.st == 'R' then
    cancel_job(id, row, reason)
    call('HINCRBY', run_key(run_id), 'ws', 1)
    call('HSET', run_key(run_id), 'u', NOW_TEXT)
  else
    withdraw(id, row)
    compensates(id, row, run_id, run, reason)
  end
  return true
end

local function close_wait(run_id, run, name)
  local value = call('HGET', P .. 'fw:' .. run_id, name)
  if value then
    local _, _, wanted = read_wait(value)
    for _, event in ipairs(wanted.e) do
      call('ZREM', P .. 'fv:' .. channel_of(event, wanted.k, tenant_of(run)), pair(run_id, name))
    end
    call('HDEL', P .. 'fw:' .. run_id, name)
  end
end

local function cancel_children(run_id, state)
  local jobs, runs = call('SMEMBERS', P .. 'fg:' .. run_id), call('SMEMBERS', P .. 'fu:' .. run_id)
  table.sort(jobs)
  table.sort(runs)
  for _, id in ipairs(jobs) do
    cancel_job(id, job(id), 'parent_ended')
  end
  for _, id in ipairs(runs) do
    local child = run_of(id)
    if child and not child.ab and (child.aw ~= '0' or state ~= 'C') then
      cancel_run(id, child, 'parent_ended')
    end
  end
end

-- Ends the run and its stopped driver: key, dead letter (its id; nil: none), waits, the parent's ChildResult, the
-- children's ends.
local function end_run(id, row, run_id, run, state, reason, result, letter)
  local key = run_key(run_id)
  unpark(run_id, run)
  for _, name in ipairs(call('HKEYS', P .. 'fw:' .. run_id)) do
    close_wait(run_id, run, name)
  end
  run.fi, run.rs = NOW_TEXT, reason
  call('HDEL', key, 're', 'rs')
  call('HSET', key, 'fi', NOW_TEXT)
  if result then
    call('HSET', key, 're', result)
  end
  if reason then
    call('HSET', key, 'rs', reason)
  end
  to_run_state(run_id, run, state)
  tell_run(run_id, run)
  conclude(id, row, state, reason)
  if state == 'F' then
    row.et, row.em, row.eb = run.et, run.em, run.eb
    for _, name in ipairs({'et', 'em', 'eb'}) do
      if row[name] then
        call('HSET', job_key(id), name, row[name])
      else
        call('HDEL', job_key(id), name)
      end
    end
    if letter then
      bury(id, row, reason or 'failed', letter)
    end
  end
  if run.pa and run.sp and run.aw ~= '0' then
    child_ended(run.pa, run.sp, run_id, state, result, run)
  end
  cancel_children(run_id, state)
end

-- A driver whose cancellation was requested, or that was lost too often: its run compensates. One that was lost too
-- often while it compensated has failed; answers whether it has.
local function lose_driver(id, row, run_id, run, letter)
  if row.cr then
    compensates(id, row, run_id, run, row.cr)
  elseif not run.co then
    compensates(id, row, run_id, run, 'worker_lost')
  else
    call('HSET', run_key(run_id), 'cf', '1')
    end_run(id, row, run_id, run, 'F', run.rs or 'worker_lost', nil, letter)
    return true
  end
  return false
end
