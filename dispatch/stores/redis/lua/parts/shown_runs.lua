-- Runs as clients read them: id, the fields of SHOWN, those of DRIVER, and, whole, result and input.
local SHOWN = {
  'n', 'v', 'st', 'c', 'u', 'pa', 'sp', 'ff', 'ws', 'sa', 'fi', 'wk', 'cp', 'cf', 'rs', 'bk', 'et', 'em', 'eb', 'ap', 'og',
}
local DRIVER = {'q', 't', 'm', 'cr'}

local function shown_run(id, whole)
  local shown = {id}
  for _, value in ipairs(call('HMGET', run_key(id), unpack(SHOWN))) do
    shown[#shown + 1] = value
  end
  for _, value in ipairs(call('HMGET', job_key(driver_of(id)), unpack(DRIVER))) do
    shown[#shown + 1] = value
  end
  if whole then
    shown[#shown + 1] = call('HGET', run_key(id), 're')
    shown[#shown + 1] = call('HGET', job_key(driver_of(id)), 'p')
  end
  return shown
end
