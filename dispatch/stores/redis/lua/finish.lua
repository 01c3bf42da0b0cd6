-- Ends claims: each transition is applied only while its row runs for this worker at this epoch.
-- flags: allow-oom
-- parts: base keys completions feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry cancels channels_of_events driving inserts
-- ARGV: now, worker, transitions. A transition is id, epoch, a verdict (C complete, R retry, S snooze, L release, F fail,
-- X cancel) with flags, and what the flags bring: r result, f failure (type, message), t its traceback, w delay
-- (microseconds), s reason, d dead letter's id, n number of follow-ups and those.
-- Answers for each a reply (a applied, s stale, c conflict, m missing), the row's state and the dead letter's id,
-- of a waiting row instead when it is due; or, where all are completed, how many they are.
local answers, at = {}, 3
local VERDICTS = {C = 'complete', R = 'retry', S = 'snooze', L = 'release', F = 'fail', X = 'cancel'}

local function answer(reply, row)
  local more = row and reply == 'a' and (row.st == 'P' or row.st == 'T') and row.r
  answers[#answers + 1] = reply .. (row and row.st or '') .. (more or (reply == 'a' and row.dl) or '')
end

local function next_argument()
  at = at + 1
  return ARGV[at - 1]
end

local function read_transition()
  local said = {id = ARGV[at], epoch = ARGV[at + 1], verdict = ARGV[at + 2]:sub(1, 1)}
  local flags = ARGV[at + 2]:sub(2)
  at = at + 3
  for flag in flags:gmatch('.') do
    if flag == 'r' then
      said.result = next_argument()
    elseif flag == 'f' then
      said.error_type, said.message = next_argument(), next_argument()
    elseif flag == 't' then
      said.traceback = next_argument()
    elseif flag == 'w' then
      said.delay = tonumber(next_argument())
    elseif flag == 's' then
      said.reason = next_argument()
    elseif flag == 'd' then
      said.letter = next_argument()
    else
      said.follow_ups = {}
      for _ = 1, tonumber(next_argument()) do
        said.follow_ups[#said.follow_ups + 1], at = read_job(at)
      end
    end
  end
  return said
end

-- Every verdict but a completion, on a row that was just stopped.
local function settle_row(id, row, said, run)
  local verdict = said.verdict
  if said.error_type then
    add_attempt(id, row, 'failed', said.error_type, said.message, said.traceback)
  end
  if verdict == 'R' or (verdict == 'F' and said.error_type) then
    row.f = text(tonumber(row.f or 0) + 1)
    call('HSET', job_key(id), 'f', row.f)
  end
  if row.cr then
    if run then
      compensates(id, row, row.ri, run, row.cr)
    else
      conclude(id, row, 'X', row.cr)
    end
  elseif verdict == 'F' then
    conclude(id, row, 'F', said.reason)
    if said.letter then
      bury(id, row, said.reason or 'failed', said.letter)
    end
  elseif verdict == 'X' then
    conclude(id, row, 'X', said.reason or 'cancelled')
  elseif verdict == 'L' then
    wait(id, row, row.r)
  else
    wait(id, row, text(NOW + (said.delay or 0)))
    if verdict == 'R' then
      tell_retry(id, row, tonumber(row.f))
    end
  end
end

-- How the end of this claim is remembered, so that its repetition is recognised.
local function mark(said)
  return worker .. ':' .. said.epoch .. ':' .. VERDICTS[said.verdict]
end

local told, over = heard('job.completed'), {}

-- Completes in the short way; answers false, with nothing done, when it is not open to the row.
local function complete(said)
  local id = said.id
  local hold = not over[id] and hold_of(call('HGET', P .. 'h:' .. worker, id), said.epoch)
  if not hold then
    return false
  end
  over[id] = true
  if not finish_row(hold, id, said.result) then
    answer('m')
    return true
  end
  if told then
    local row = call('HMGET', job_key(id), 'k', 'n', 'q', 'f', 'sa')
    tell_job('job.completed', id, {k = row[1] or nil, n = row[2], q = row[3], f = row[4] or nil, sa = row[5] or nil})
  end
  answers[#answers + 1] = 'aC'
  return true
end

local function apply(said)
  local id, verdict = said.id, said.verdict
  local key = job_key(id)
  local row = job(id)
  if not row then
    if call('HDEL', P .. 'h:' .. worker, id) == 1 then
      each_cell(nil, nil, nil, function(cell)
        call('ZREM', P .. 's:R:' .. cell, id)
      end)
    end
    return answer('m')
  end
  if row.st ~= 'R' or row.w ~= worker or (row.e or '0') ~= said.epoch then
    local repeated = row.e == said.epoch and (row.la == mark(said) or
      (verdict == 'C' and row.st == 'C' and row.w == worker))
    return answer(repeated and 'a' or 's', row)
  end
  local run = driven(row)
  if run and (verdict == 'C' or verdict == 'F' or verdict == 'X') then
    return answer('c', row)
  end
  stop(id, row)
  if run and not run.co and said.error_type then
    note_run_error(row.ri, run, said.error_type, said.message, said.traceback)
  end
  if row.dl then
    call('HDEL', key, 'dl')
    row.dl = nil
  end
  if verdict == 'C' then
    if said.result then
      call('HSET', key, 're', said.result)
    elseif row.re then
      call('HDEL', key, 're')
    end
    row.re = said.result
    if said.error_type then
      add_attempt(id, row, 'failed', said.error_type, said.message, said.traceback)
    end
    conclude(id, row, 'C')
  else
    call('HSET', key, 'la', mark(said))
    settle_row(id, row, said, run)
  end
  for _, new in ipairs(said.follow_ups or {}) do
    local this = new_plan()
    if not plan(this, new) then
      carry_out(this)
    end
  end
  answer('a', row)
end

while at <= #ARGV do
  local said
  if ARGV[at + 2] == 'C' then
    said = {id = ARGV[at], epoch = ARGV[at + 1], verdict = 'C'}
    at = at + 3
  elseif ARGV[at + 2] == 'Cr' then
    said = {id = ARGV[at], epoch = ARGV[at + 1], verdict = 'C', result = ARGV[at + 3]}
    at = at + 4
  else
    said = read_transition()
  end
  if said.verdict ~= 'C' or said.error_type or said.follow_ups or not complete(said) then
    apply(said)
  end
end
settle_completed()
admit_left()
joined()
settle()
wake()
return answers
