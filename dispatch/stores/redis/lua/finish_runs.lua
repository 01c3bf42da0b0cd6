-- Ends runs and their drivers.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry cancels channels_of_events driving inserts fences
-- ARGV: now, worker, ends: run, driver, epoch, state (C F X) with flags and what they bring: r result, f failure (type, message), t its
-- traceback, s reason, k compensation failed, d dead letter's id, n number of follow-ups and those.
-- Answers for each a reply, the run's state and the dead letter's id ('' none).
local worker, at, answers = ARGV[2], 3, {}
local NAMES = {C = 'completed', F = 'failed', X = 'cancelled'}

local function next_argument()
  at = at + 1
  return ARGV[at - 1]
end

local function read_end()
  local said = {run = ARGV[at], driver = ARGV[at + 1], epoch = ARGV[at + 2], state = ARGV[at + 3]:sub(1, 1), follow_ups = {}}
  local flags = ARGV[at + 3]:sub(2)
  at = at + 4
  for flag in flags:gmatch('.') do
    if flag == 'r' then
      said.result = next_argument()
    elseif flag == 'f' then
      said.error_type, said.message = next_argument(), next_argument()
    elseif flag == 't' then
      said.traceback = next_argument()
    elseif flag == 's' then
      said.reason = next_argument()
    elseif flag == 'k' then
      said.compensation_failed = true
    elseif flag == 'd' then
      said.letter = next_argument()
    else
      for _ = 1, tonumber(next_argument()) do
        said.follow_ups[#said.follow_ups + 1], at = read_job(at)
      end
    end
  end
  return said
end

local function finish(row, run, said)
  local id, key, state, reason = said.driver, job_key(said.driver), said.state, said.reason
  if not reason and state ~= 'C' then
    reason = run.rs
  end
  if row.cr and state == 'F' then
    state, reason = 'X', row.cr
  end
  if said.error_type then
    if not run.co or said.compensation_failed then
      add_attempt(id, row, 'failed', said.error_type, said.message, said.traceback)
      row.f = text(tonumber(row.f or 0) + 1)
      call('HSET', key, 'f', row.f)
    end
    if not (run.co and run.et) then
      note_run_error(said.run, run, said.error_type, said.message, said.traceback)
    end
  end
  if said.compensation_failed then
    call('HSET', run_key(said.run), 'cf', '1')
  else
    call('HDEL', run_key(said.run), 'cf')
  end
  stop(id, row)
  call('HSET', key, 'la', left_mark(worker, said.epoch, NAMES[said.state]))
  call('HDEL', key, 'dl')
  row.dl = nil
  end_run(id, row, said.run, run, state, reason, state == 'C' and said.result or nil, said.letter)
  for _, new in ipairs(said.follow_ups) do
    local this = new_plan()
    if not plan(this, new) then
      carry_out(this)
    end
  end
  return {'applied', run.st, row.dl or ''}
end

while at <= #ARGV do
  local said = read_end()
  local row, run = fence(worker, said.driver, said.epoch, said.run, true)
  if row then
    answers[#answers + 1] = finish(row, run, said)
  else
    local again = repeated(worker, said.driver, said.epoch, NAMES[said.state])
    local letter = again and call('HGET', job_key(said.driver), 'dl')
    answers[#answers + 1] = {
      again and 'applied' or 'stale', call('HGET', run_key(said.run), 'st') or '', letter or '',
    }
  end
end
admit_left()
joined()
settle()
wake()
return answers
