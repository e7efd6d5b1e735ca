-- Readers who click: paths from a file, in turn or at random, each with the headers of one of some browsers.
-- Arguments: the file of paths, one a line; "in turn" or "at random". The last line of output is JSON.
local agents = {
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15',
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36',
  'Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0',
}
local paths, heads, turn, in_turn = {}, {}, 0, false

function init(arguments)
  math.randomseed(os.time())
  for path in io.lines(arguments[1]) do paths[#paths + 1] = path end
  in_turn = arguments[2] == 'in turn'
  for i, agent in ipairs(agents) do
    heads[i] = ' HTTP/1.1\r\nHost: news.example.com\r\nUser-Agent: ' .. agent
      .. '\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
      .. '\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br'
      .. '\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\r\n'
  end
end

function request()
  turn = turn + 1
  local path = in_turn and paths[(turn - 1) % #paths + 1] or paths[math.random(#paths)]
  return 'GET ' .. path .. heads[turn % #heads + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "max_ms": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
