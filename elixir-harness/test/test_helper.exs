binary = LinxProcess.Binary.path()

unless match?({:ok, _path}, LinxProcess.Binary.find()) do
  raise "the tests need the agent at #{binary}; build it, or set LINX_PROCESS"
end

ExUnit.start(capture_log: true)
