-- Writes checkpoints with the jobs and runs that they bring, while the driver is the worker's.
-- flags: allow-oom
-- wakes: seldom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry cancels channels_of_events driving inserts births fences journal
-- ARGV: now, worker, records. A record is run, driver, epoch, the number of checkpoints, and those: id, name, kind, data,
-- attempt, when the visit began, event ('' none), number of jobs, jobs, number of runs, runs.
-- Answers for each 'stale', or 'applied' and what stands under each name now: place and parts.
local worker, at, answers, brings = ARGV[2], 3, {}, false

local function read_many(read)
  local many = {}
  local number = tonumber(ARGV[at])
  at = at + 1
  for i = 1, number do
    many[i], at = read(at)
  end
  return many
end

local function read_checkpoint()
  local new = {
    id = ARGV[at], name = ARGV[at + 1], kind = ARGV[at + 2], data = ARGV[at + 3], attempt = ARGV[at + 4],
    started = ARGV[at + 5], event = ARGV[at + 6],
  }
  at = at + 7
  new.jobs = read_many(read_job)
  new.runs = read_many(read_run)
  brings = brings or #new.jobs + #new.runs > 0
  return new
end

-- Where a key is taken the checkpoint tells of the one that has it.
local function amend(run_id, added, wanted, id)
  if id ~= wanted then
    added[4] = added[4]:gsub(wanted, id)
    local place = tonumber(call('HGET', P .. 'fn:' .. run_id, added[2]))
    call('LSET', P .. 'fj:' .. run_id, (place - 1) * STRIDE + 3, added[4])
  end
end

local function record_one(row, run_id, run, new)
  local known = known_checkpoint(run_id, new.name)
  if known then
    return known
  end
  if new.event ~= '' and call('SISMEMBER', P .. 'fc:' .. run_id, new.event) == 1 then
    return nil
  end
  local added = add_checkpoint(row, run_id, run, new)
  for _, job_ in ipairs(new.jobs) do
    local this = new_plan()
    local refusal = plan(this, job_)
    if refusal then
      amend(run_id, added, job_.id, refusal[3])
    else
      carry_out(this)
      amend(run_id, added, job_.id, this.answers[1]:sub(2))
    end
  end
  for _, child in ipairs(new.runs) do
    local refusal, answer = make_run(child)
    local driver = refusal and refusal[3] or answer:sub(2)
    amend(run_id, added, child.id, 'run_' .. driver:match('_(.*)$'))
  end
  return added
end

while at <= #ARGV do
  local run_id, driver, epoch, number = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  local row, run = fence(worker, driver, epoch, run_id)
  local stand = {row and 'applied' or 'stale'}
  for _ = 1, number do
    local new = read_checkpoint()
    stand[#stand + 1] = row and record_one(row, run_id, run, new)
  end
  answers[#answers + 1] = row and stand or {'stale'}
end
admit_left()
joined()
settle()
if brings then -- nobody but its own body waits for a checkpoint that brings nothing
  wake()
end
return answers
