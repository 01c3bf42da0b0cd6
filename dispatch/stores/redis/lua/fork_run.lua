-- Makes a run with copies of what another recorded before a checkpoint, or of all that its body recorded.
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry cancels channels_of_events driving inserts births journal
-- ARGV: now, run, scoped, app, org, checkpoint ('' none), number of edits, name and data each, number of ids, those, the run.
-- Answers nil; 'refused' and why; or the driver's mark and id.
local run_id, run = ARGV[2], run_of(ARGV[2])
local whole = ARGV[6] == ''
local named = run and (whole or call('HEXISTS', P .. 'fn:' .. run_id, ARGV[6]) == 1)
if not named or not in_scope(run, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return false
end
local edits, at = {}, 8
for _ = 1, tonumber(ARGV[7]) do
  edits[ARGV[at]] = ARGV[at + 1]
  at = at + 2
end
local ids = at
at = at + 1 + tonumber(ARGV[at])
local new = read_run(at)

-- Steps whose child the run reads the end of, and that has none yet.
local open = {}
for _, id in ipairs(call('SMEMBERS', P .. 'fg:' .. run_id)) do
  open[call('HGET', job_key(id), 'sp') or ''] = true
end
for _, id in ipairs(call('SMEMBERS', P .. 'fu:' .. run_id)) do
  local child = run_of(id)
  if child and child.sp and child.aw ~= '0' then
    open[child.sp] = true
  end
end

local refusal, answer = make_run(new, run_id)
if refusal then
  return {'refused', unpack(refusal)}
end
for number = 1, answer:sub(1, 1) == '1' and tonumber(ARGV[ids]) or 0 do
  local parts = checkpoint_at(run_id, number)
  local name = parts[2]
  local result = call('HGET', P .. 'fr:' .. run_id, name)
  if (result or not open[name]) and not (whole and parts[3] == 'undo') then
    parts[1], parts[9], parts[11] = ARGV[ids + number], NOW_TEXT, '1'
    parts[4], parts[12] = edits[name] or parts[4], nil
    append_checkpoint(new.id, parts)
    if result then
      call('HSET', P .. 'fr:' .. new.id, name, result)
    end
  end
end
admit_left()
joined()
settle()
wake()
return {answer}
