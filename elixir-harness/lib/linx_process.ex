defmodule LinxProcess do
  @moduledoc """
  Runs programs in Linux sandboxes: each one behind a port to its own agent.

  To run something and have what it wrote:

      iex> {:ok, result} = LinxProcess.run(["/bin/echo", "hello"])
      iex> {result.status, result.stdout}
      {{:exited, 0}, "hello\\n"}

  To hold it at the checkpoint, look at it, and let it go:

      iex> {:ok, session} = LinxProcess.spawn(["/bin/true"], namespaces: [:uts])
      iex> :ok = LinxProcess.await(session, :ready)
      iex> :ok = LinxProcess.proceed(session)
      iex> LinxProcess.wait(session)
      {:exited, 0}

  ## Sessions and owners

  A session is a process. Its owner, by default the process that started it, gets
  `{:linx_process, session, event}` for each event of `LinxProcess.Protocol`, and
  exactly one of these is terminal, the last one: `t:terminal/0`. When the owner exits,
  the session hangs up on its agent, and the workload's `:orphan_policy` holds.

  Output of a terminal is an event too, and a process cannot be made to wait for its
  mailbox: who stalls while a workload floods its terminal keeps all of that in memory.
  `run/2` and `stream!/2` read sockets instead, on demand, so there the workload waits.

  ## Supervision

      children = [
        {LinxProcess, argv: ["/usr/bin/redis-server"], restart: :permanent, grace: 10_000}
      ]

  A supervised session proceeds by itself, has no owner unless one is named, and ends
  as its workload ends: see `LinxProcess.Session`. A shutdown is a `stop/2` with the
  session's `:grace`.

  ## Options

  `LinxProcess.Options` lists them all.
  """

  alias LinxProcess.{
    Capability,
    Error,
    Info,
    OptionError,
    Options,
    Protocol,
    Result,
    Session,
    Signal
  }

  @typedoc "The process of a session, or what stands for it on this node."
  @type session :: pid()

  @typedoc "The last event of a session."
  @type terminal ::
          {:exited, 0..255}
          | {:signaled, 1..64}
          | {:aborted, pos_integer()}
          | {:error, reason()}

  @typedoc """
  Why a session has failed:

    * an error that the agent told
    * `:agent_died`: it went away without a last word, or does not react
    * `:malformed_frame`: it said what is not the protocol
    * `:owner_down`: the owner exited (only waiters can see that)
    * `:stopped`: it was stopped before it had a request
    * `:noconnection`: the connection to the session's node is lost
  """
  @type reason ::
          Error.t() | :agent_died | :malformed_frame | :owner_down | :stopped | :noconnection

  @type event :: Protocol.event() | terminal()

  @typedoc "Why a verb was refused; nothing was written then."
  @type refusal ::
          {:error,
           :ended | :not_at_checkpoint | :no_pty | :no_request | :busy | :noproc | :noconnection}

  # What erlang:send_after/3 takes, and what would end the session if it did not.
  defguardp is_timeout(timeout) when timeout == :infinity or timeout in 0..0xFFFFFFFF

  # Starting

  @doc """
  Starts a child in fresh namespaces. It stops at the checkpoint unless
  `auto_proceed: true` is given.

  What the agent cannot do comes as a terminal event; what cannot be asked for, or the
  lack of an agent, comes back here.

      iex> {:error, error} = LinxProcess.spawn(["/bin/true"], namespaces: [:nonsense])
      iex> error.key
      :namespaces
  """
  @spec spawn([String.t()], keyword()) :: {:ok, session()} | {:error, Error.t() | OptionError.t()}
  def spawn(argv, options \\ []) do
    with {:ok, options} <- Options.parse_owned(argv, options, :none), do: Session.start(options)
  end

  @doc """
  Starts a child inside the namespaces of a running process, all of those that differ,
  or the ones in `:namespaces`.

  `target` is a pid as the VM sees it.
  """
  @spec enter(pos_integer(), [String.t()], keyword()) ::
          {:ok, session()} | {:error, Error.t() | OptionError.t()}
  def enter(target, argv, options \\ []) do
    with {:ok, options} <- Options.parse_owned(argv, options, target), do: Session.start(options)
  end

  @doc """
  Starts a session on another node, which runs this library too.

  The session that is returned lives on this node and stands for the other one: all
  functions of this module take it, its owner gets its events here, and when the
  connection to the node is lost the terminal event is `{:error, :noconnection}`. The
  workload over there then ends by its `:orphan_policy`.

  With `:target` among the options a process of that node is entered.
  """
  @spec start_on(node(), [String.t()], keyword()) ::
          {:ok, session()} | {:error, Error.t() | OptionError.t() | :noconnection}
  defdelegate start_on(node, argv, options \\ []), to: LinxProcess.Remote, as: :start

  @doc """
  A session for a supervisor, linked to it. See `child_spec/1` for the options.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options) do
    {argv, options} = Keyword.pop(options, :argv)
    {target, options} = Keyword.pop(options, :target, :none)
    options = Keyword.merge([owner: nil, auto_proceed: true], options)

    with {:ok, options} <- Options.parse(argv, options, target) do
      case Session.start_link({options, true}) do
        {:error, {:shutdown, error}} -> {:error, error}
        started -> started
      end
    end
  end

  @doc """
  The specification of a supervised session.

  The options are those of `LinxProcess.Options`, and

    * `:argv`: required
    * `:target`: the pid of a process to enter
    * `:restart`: `:temporary` by default
    * `:id`: `LinxProcess` by default

  The supervisor's patience is the session's `:grace` and some seconds more.

      iex> LinxProcess.child_spec(argv: ["/bin/true"], grace: 100).restart
      :temporary
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options) do
    {id, options} = Keyword.pop(options, :id, __MODULE__)
    {restart, options} = Keyword.pop(options, :restart, :temporary)

    %{
      id: id,
      start: {__MODULE__, :start_link, [options]},
      restart: restart,
      shutdown: Session.shutdown(options[:grace]),
      type: :worker
    }
  end

  # At the checkpoint

  @doc "Lets the child execute. It may be asked for at once, before the checkpoint is reached."
  @spec proceed(session()) :: :ok | refusal()
  def proceed(session), do: verb(session, :proceed)

  @doc "Ends the child at the checkpoint; the terminal event is `{:aborted, inner_pid}`."
  @spec abort(session()) :: :ok | refusal()
  def abort(session), do: verb(session, :abort)

  @doc """
  Drops capabilities from the bounding set, see `LinxProcess.Capability`.

  This and the other commands of the checkpoint return when the command is written. One
  that fails ends the session with an error of its stage.
  """
  @spec cap_drop_bounding(session(), Capability.set()) ::
          :ok | refusal() | {:error, OptionError.t()}
  def cap_drop_bounding(session, set) do
    with {:ok, mask} <- mask(set), do: verb(session, {:cap_drop_bounding, mask})
  end

  @doc "Sets the effective, permitted and inheritable capabilities, capset(2)."
  @spec cap_set_thread(session(), Capability.set(), Capability.set(), Capability.set()) ::
          :ok | refusal() | {:error, OptionError.t()}
  def cap_set_thread(session, effective, permitted, inheritable) do
    with {:ok, e} <- mask(effective),
         {:ok, p} <- mask(permitted),
         {:ok, i} <- mask(inheritable),
         do: verb(session, {:cap_set_thread, e, p, i})
  end

  @doc "Clears the ambient set and raises these capabilities in it."
  @spec cap_set_ambient(session(), Capability.set()) :: :ok | refusal() | {:error, OptionError.t()}
  def cap_set_ambient(session, set) do
    with {:ok, mask} <- mask(set), do: verb(session, {:cap_set_ambient, mask})
  end

  defp mask(set) do
    case Capability.mask(set) do
      {:ok, mask} -> {:ok, mask}
      :error -> expected(:capabilities, set, "names of capabilities or an unsigned 64-bit mask")
    end
  end

  @doc """
  Installs a classic BPF program as a seccomp filter, right before execve(2).

  `program` is an array of `struct sock_filter`, 8 bytes each, in the byte order of the
  machine; at most 65 535 of them. It sets no_new_privs as well.
  """
  @spec seccomp_install(session(), binary()) :: :ok | refusal() | {:error, OptionError.t()}
  def seccomp_install(session, program)
      when is_binary(program) and byte_size(program) <= 8 * 65_535 do
    verb(session, {:seccomp_install, program})
  end

  def seccomp_install(_session, program) do
    expected(:seccomp, program, "a binary of at most 65535 times 8 bytes")
  end

  # Running

  @doc """
  Sends a signal to the workload. What is sent before it runs is kept, and delivered in
  order when it does.
  """
  @spec signal(session(), Signal.t()) :: :ok | refusal() | {:error, OptionError.t()}
  def signal(session, signal) do
    case Signal.number(signal) do
      {:ok, number} -> verb(session, {:signal, number})
      :error -> expected(:signal, signal, "1 to 64, or a name such as :sigterm")
    end
  end

  @doc """
  Writes to the workload's terminal. Kept until it runs, like a signal.

  It never blocks: `{:error, :busy}` means that `:max_queue` bytes wait already, and
  nothing of this was taken. The agent itself buffers 1 MiB for a workload that does not
  read; what it drops beyond that is told by `{:pty_in_dropped, bytes}`.
  """
  @spec pty_write(session(), iodata()) :: :ok | refusal()
  def pty_write(session, data), do: verb(session, {:pty_in, IO.iodata_to_binary(data)})

  @doc """
  Sets the size of the terminal, in rows and columns and optionally in pixels, at any
  time from the request on.
  """
  @spec pty_winsize(session(), non_neg_integer(), non_neg_integer(), {0..65_535, 0..65_535}) ::
          :ok | refusal() | {:error, OptionError.t()}
  def pty_winsize(session, rows, cols, pixels \\ {0, 0})

  def pty_winsize(session, rows, cols, {xpix, ypix}) do
    command = {:pty_winsize, {rows, cols, xpix, ypix}}

    if Protocol.command?(command) do
      verb(session, command)
    else
      expected(:winsize, {rows, cols, xpix, ypix}, "numbers from 0 to 65535")
    end
  end

  @doc """
  Waits for the end and returns the terminal event, also when that has come already.

  `timeout` is in milliseconds. `{:error, :noproc}` means that there is no such session
  any more: it ended longer than `:retain` milliseconds ago.
  """
  @spec wait(session(), timeout()) :: terminal() | {:error, :timeout | :noproc}
  def wait(session, timeout \\ :infinity) when is_timeout(timeout) do
    call(session, {:await, :ended, timeout})
  end

  @doc """
  Waits until a session has got as far as `:spawned`, `:ready` or `:running`.

  A session that ended first is `{:error, {:ended, terminal}}`, also if it had been
  that far before.
  """
  @spec await(session(), :spawned | :ready | :running, timeout()) ::
          :ok | {:error, {:ended, terminal()} | :timeout | :noproc | :noconnection}
  def await(session, state, timeout \\ :infinity)
      when state in [:spawned, :ready, :running] and is_timeout(timeout) do
    call(session, {:await, state, timeout})
  end

  @doc """
  Stops a session and returns how it ended: abort at the checkpoint; once it runs
  SIGTERM, and SIGKILL after `grace` milliseconds.
  """
  @spec stop(session(), non_neg_integer()) :: terminal() | {:error, :noproc}
  def stop(session, grace \\ 5_000) when is_timeout(grace) and grace != :infinity do
    call(session, {:stop, grace})
  end

  # Asking

  @doc "What there is to know about a session."
  @spec info(session()) :: {:ok, Info.t()} | {:error, :noproc | :noconnection}
  def info(session) do
    case call(session, :info) do
      %Info{} = info -> {:ok, info}
      {:error, reason} -> {:error, reason}
    end
  end

  @doc "The child's pid as the agent sees it, once it exists."
  @spec host_pid(session()) ::
          {:ok, pos_integer()} | {:error, :not_spawned | :noproc | :noconnection}
  def host_pid(session), do: call(session, :host_pid)

  @doc "Gives the session another owner: all further events go to it."
  @spec set_owner(session(), pid() | nil) :: :ok | {:error, :ended | :noproc | :noconnection}
  def set_owner(session, owner) when is_pid(owner) or is_nil(owner) do
    call(session, {:set_owner, owner})
  end

  # Whole programs

  @doc """
  Runs a program to its end and returns what it wrote. See `LinxProcess.Run` for
  the options that `LinxProcess.Options` does not have.

      iex> {:ok, result} = LinxProcess.run(["/bin/cat"], input: "in")
      iex> result.stdout
      "in"
      iex> {:error, error} = LinxProcess.run(["/no/such/program"])
      iex> {error.stage, error.errno}
      {:execve, 2}
  """
  @spec run([String.t()], keyword()) :: {:ok, Result.t()} | {:error, Error.t() | OptionError.t()}
  defdelegate run(argv, options \\ []), to: LinxProcess.Run

  @doc """
  A program's output as a lazy stream of binaries. See `LinxProcess.Streaming`.

      iex> LinxProcess.stream!(["/bin/sh", "-c", "echo a; echo b"]) |> Enum.join()
      "a\\nb\\n"
  """
  @spec stream!([String.t()], keyword()) :: Enumerable.t()
  defdelegate stream!(argv, options \\ []), to: LinxProcess.Streaming

  defp verb(session, command), do: call(session, {:verb, command})

  defp call(session, request) do
    GenServer.call(session, request, :infinity)
  catch
    # The session is gone, or leaves while it is asked.
    :exit, {{:nodedown, _node}, _call} -> {:error, :noconnection}
    :exit, {_reason, {GenServer, :call, _arguments}} -> {:error, :noproc}
  end

  defp expected(key, value, expected) do
    {:error, %OptionError{key: key, value: value, expected: expected}}
  end
end
