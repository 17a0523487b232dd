defmodule TestSupport.Cluster do
  @moduledoc """
  Nodes of a cluster on this machine, started and controlled by `:peer` over their
  stdin and stdout. This VM itself is none of them, and no epmd stays behind: there
  is one for the test alone, on a port of its own.
  """

  import ExUnit.Callbacks, only: [on_exit: 1]

  # A node that is killed must not make the others part with each other.
  @arguments ~w(-setcookie linx_process_test -kernel prevent_overlapping_partitions false)

  @doc "Starts an epmd, and that many nodes that are connected with each other."
  def start(count) do
    epmd_port = start_epmd()
    peers = for n <- 1..count, do: start_node(n, epmd_port)
    [{first, _name} | _rest] = peers

    for {_peer, name} <- tl(peers), do: true = :peer.call(first, :net_kernel, :connect_node, [name])
    peers
  end

  defp start_node(n, epmd_port) do
    {:ok, peer, name} =
      :peer.start(%{
        name: :"lp#{n}_#{System.pid()}",
        host: ~c"127.0.0.1",
        longnames: true,
        connection: :standard_io,
        args: Enum.map(@arguments, &to_charlist/1),
        env: [{~c"ERL_EPMD_PORT", to_charlist(epmd_port)}]
      })

    on_exit(fn -> stop(peer) end)
    :ok = :peer.call(peer, :code, :add_pathsa, [:code.get_path()])

    :ok =
      :peer.call(peer, :application, :set_env, [:linx_process, :binary, LinxProcess.Binary.path()])

    {:ok, _started} = :peer.call(peer, :application, :ensure_all_started, [:linx_process])
    {peer, name}
  end

  @doc "Stops a node in order, if it is still there."
  def stop(peer) do
    :peer.stop(peer)
  catch
    :exit, _gone -> :ok
  end

  # The port is free now and might not be in a moment; then epmd says so, and
  # there is another try.
  defp start_epmd(tries \\ 10) do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, number} = :inet.port(socket)
    :gen_tcp.close(socket)

    {:ok, session} =
      LinxProcess.spawn(["epmd", "-port", "#{number}", "-address", "127.0.0.1"], epmd_options())

    case await_epmd(session, number) do
      :ok ->
        on_exit(fn -> LinxProcess.stop(session) end)
        number

      :taken when tries > 0 ->
        start_epmd(tries - 1)
    end
  end

  defp epmd_options, do: [owner: nil, auto_proceed: true, stdio: :devnull]

  defp await_epmd(session, number) do
    TestSupport.Case.eventually(fn ->
      case :gen_tcp.connect({127, 0, 0, 1}, number, []) do
        {:ok, socket} ->
          :gen_tcp.close(socket)
          :ok

        {:error, _not_yet} ->
          if match?({:ok, %{terminal: nil}}, LinxProcess.info(session)), do: nil, else: :taken
      end
    end)
  end
end
