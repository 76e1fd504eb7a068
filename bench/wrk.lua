-- Sends requests as they are, one after another. Argument: a file with, for each request, its size in bytes, a line
-- feed, and its bytes. Prints what was counted, and each latency in microseconds with how many answers had it.
local requests, place = {}, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local size = file:read("*n")
  while size do
    file:read(1)
    requests[#requests + 1] = file:read(size)
    size = file:read("*n")
  end
  file:close()
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("counted %d %d %d %d", summary.requests, summary.duration, summary.bytes, failed))
  for each = 1, #latency do
    print(string.format("latency %d %d", latency(each)))
  end
end
