-- What state changes tell the feed: one entry a transition, while somebody listens to its type.
local JOB_ENDS = {C = 'job.completed', F = 'job.failed', X = 'job.cancelled'}
local RUN_ENDS = {C = 'workflow.completed', F = 'workflow.failed', X = 'workflow.cancelled'}
local STEPS = {step = 'workflow.step_completed', undo = 'workflow.step_completed', failure = 'workflow.step_failed'}

-- A time as RFC 3339.
local function moment(micros)
  local number = tonumber(micros)
  local days = math.floor(number / 86400000000)
  local rest = number - days * 86400000000
  -- the civil calendar, counted from the first of March of the year 0 in cycles of 400 years
  local since = days + 719468
  local era = math.floor(since / 146097)
  local day = since - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  day = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * day + 2) / 153)
  local seconds = math.floor(rest / 1000000)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year + era * 400 + (month > 9 and 1 or 0),
    month < 10 and month + 3 or month - 9, day - math.floor((153 * month + 2) / 5) + 1, math.floor(seconds / 3600),
    math.floor(seconds / 60) % 60, seconds % 60, rest % 1000000)
end

local function elapsed(since)
  return since and math.floor((NOW - tonumber(since)) / 1000) or nil
end

-- Tells of a thing whose row says whose it is.
local function tell(kind, about, row, data)
  local app, org = row.ap or '', row.og or ''
  data.scope_app_id = app ~= '' and app or nil
  data.scope_org_id = org ~= '' and org or nil
  append_to_feed(kind, nil, about, kind, (app == '' and org == '') and '' or app .. '/' .. org, cjson.encode(data))
end

local function fault(row, reason)
  return row.et and {type = row.et, message = row.em or ''} or {type = reason or '', message = ''}
end

-- Tells of a job as its row stands after the transition; drivers and deliveries are none.
local function tell_job(kind, id, row, reason)
  if (row.k or 'job') ~= 'job' or not heard(kind) then
    return
  end
  local failures = tonumber(row.f or 0)
  local data = {job_id = id, job_name = row.n, queue = row.q, attempt = failures + 1}
  if kind == 'job.completed' then
    data.elapsed_ms = elapsed(row.sa)
  elseif kind == 'job.failed' or kind == 'job.dlq' then
    data.attempt, data.error = math.max(failures, 1), fault(row, reason)
  end
  tell(kind, id, row, data)
end

-- Tells of an attempt that failed or crashed and is followed by another.
local function tell_retry(id, row, attempt)
  if (row.k or 'job') == 'job' and heard('job.retrying') then
    tell('job.retrying', id, row, {
      job_id = id, job_name = row.n, queue = row.q, attempt = attempt, error = fault(row), next_run_at = moment(row.r),
    })
  end
end

-- Tells of a run that has begun (R) or ended.
local function tell_run(id, run)
  local kind = run.st == 'R' and 'workflow.started' or RUN_ENDS[run.st]
  if kind and heard(kind) then
    tell(kind, id, run, {
      run_id = id, name = run.n, elapsed_ms = run.st ~= 'R' and elapsed(run.sa) or nil,
      error = run.st == 'F' and fault(run, run.rs) or nil,
    })
  end
end

-- Tells of a step or an undo that was recorded; other checkpoints are none.
local function tell_step(id, run, new)
  local kind = STEPS[new.kind]
  if not kind or not heard(kind) then
    return
  end
  local data = {run_id = id, name = run.n, step_name = new.name}
  if new.kind == 'failure' then
    local fine, found = pcall(cjson.decode, new.data)
    local known = fine and type(found) == 'table' and found or {}
    data.error = {
      type = type(known.type) == 'string' and known.type or '',
      message = type(known.message) == 'string' and known.message or '',
    }
  elseif new.started ~= '' then
    data.elapsed_ms = elapsed(new.started)
  end
  tell(kind, id, run, data)
end

-- Tells of a tick that made a job or a run.
local function tell_tick(id, entry, time, made, run)
  if not heard('cron.fired') then
    return
  end
  local spec = cjson.decode(entry.spec)
  tell('cron.fired', id, {ap = spec.scope[1], og = spec.scope[2]}, {
    entry_name = spec.name, tick = moment(time), job_id = run == '' and made or nil, run_id = run ~= '' and run or nil,
  })
end
