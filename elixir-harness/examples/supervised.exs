# A service that its supervisor starts again, and stops in order.
#
#     mix run examples/supervised.exs

children = [
  {LinxProcess, id: :service, argv: ["/bin/sleep", "1000"], restart: :permanent}
]

{:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)

session = fn ->
  [{:service, session, :worker, _modules}] = Supervisor.which_children(supervisor)
  session
end

first = session.()
monitor = Process.monitor(first)
:ok = LinxProcess.await(first, :running)
:ok = LinxProcess.signal(first, :sigkill)

receive do
  {:DOWN, ^monitor, :process, ^first, reason} -> IO.inspect(reason)
end

# The supervisor answers behind the restart.
second = session.()
:ok = LinxProcess.await(second, :running)
IO.inspect(second != first)
IO.inspect(Supervisor.stop(supervisor))

# Output:
# {:signaled, 9}
# true
# :ok
