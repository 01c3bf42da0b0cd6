-- Enqueues jobs: all of this call, or none when one of them may not be.
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry inserts
-- ARGV: now, mode, token, jobs. Mode "whole": decide and write. A call too large for one script comes as several in one
-- MULTI: first "check" with all jobs, which leaves the token when something is in the way, then "part" with some each,
-- which do nothing when they find it. Answers a mark and the job each, with the jobs that have expired to make way for it.
local mode, token = ARGV[2], ARGV[3]
local veto = P .. 'veto:' .. token
if mode == 'part' and call('EXISTS', veto) == 1 then
  return {}
end
local this, at, refusal = new_plan(), 4, nil
local keyed = false
while at <= #ARGV and not refusal do
  local new
  new, at = read_job(at)
  keyed = keyed or new.extras ~= nil
  refusal = plan(this, new)
end
if refusal then
  if mode == 'check' then
    call('SET', veto, '', 'PX', 1000)
  end
  return {'refused', unpack(refusal)}
end
if mode == 'check' then
  return {}
end
if keyed then
  sweep_keys(20)
  sweep_idempotency(20)
end
carry_out(this)
admit_left()
joined()
settle()
if #this.steps > 0 then
  wake()
end
for _, step in ipairs(this.expired) do
  this.answers[step.by] = this.answers[step.by] .. ' ' .. step.ends
end
return this.answers
