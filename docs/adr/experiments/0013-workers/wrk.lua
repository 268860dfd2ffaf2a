-- A POST of about 350 bytes of JSON, or of the file that BODY names; the result as one line.
local file = os.getenv("BODY") and io.open(os.getenv("BODY"))
wrk.method = "POST"
wrk.body = file and file:read("*a") or '{"inputs": ["' .. string.rep("x", 330) .. '"]}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = os.getenv("AUTHORIZATION")

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %f %f %f %f %d\n",
    summary.requests, summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
