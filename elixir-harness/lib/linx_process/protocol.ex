defmodule LinxProcess.Protocol do
  @moduledoc """
  The control protocol as data: structs and tuples on this side, frames on the other.

  Everything here is pure. The four bytes of a frame's length are the port's business
  (`{:packet, 4}`); what is encoded and decoded here is the term behind them.

  ## Events

  What the agent sends is decoded to these, and the owner of a session gets the same:

  | event | meaning |
  |---|---|
  | `{:spawned, host_pid}` | the child exists; its pid as the agent sees it |
  | `{:ready, inner_pid}` | it is parked at the checkpoint; its pid as it sees itself |
  | `:running` | execve(2) has succeeded |
  | `{:pty_out, binary}` | output of the terminal |
  | `{:pty_in_dropped, bytes}` | a chunk of input did not fit the agent's buffer |
  | `{:exited, code}` | terminal: the workload's exit status |
  | `{:signaled, number}` | terminal: the signal that killed the workload |
  | `{:aborted, inner_pid}` | terminal: it was aborted at the checkpoint |
  | `{:error, %LinxProcess.Error{}}` | terminal: the agent failed at a stage |

  What does not have one of these shapes, down to the ranges of the numbers, is no
  event. Terms are decoded with `:safe`, so an agent can make no atoms here.
  """

  alias LinxProcess.{Error, Request}

  @namespaces ~w(user mount uts ipc cgroup net time pid)a

  @stages ~w(
            request_too_big command_too_big malformed_request malformed_command
            pipe2 posix_openpt ptsetup ptsname pts_open connect_unix
            clone fork open_ns_proc
            ready_frame malformed_ready exec_outcome
            stdio chdir execve cap_drop_bounding cap_set_thread cap_set_ambient
            seccomp_no_new_privs seccomp_install
          )a ++
            Enum.flat_map(@namespaces, &[:"open_ns_#{&1}", :"setns_#{&1}"])

  @max_request 4 * 1024 * 1024
  @max_command 1024 * 1024
  @max_mask 0xFFFFFFFFFFFFFFFF

  @type mask :: 0..0xFFFFFFFFFFFFFFFF
  @type winsize :: {0..65_535, 0..65_535, 0..65_535, 0..65_535}

  @typedoc "A frame to the agent after the request."
  @type command ::
          {:cap_drop_bounding, mask()}
          | {:cap_set_thread, effective :: mask(), permitted :: mask(), inheritable :: mask()}
          | {:cap_set_ambient, mask()}
          | {:seccomp_install, binary()}
          | {:pty_winsize, winsize()}
          | :proceed
          | :abort
          | {:signal, 1..64}
          | {:pty_in, binary()}

  @typedoc "The end of a session, as the agent tells it."
  @type terminal ::
          {:exited, 0..255}
          | {:signaled, 1..64}
          | {:aborted, pos_integer()}
          | {:error, Error.t()}

  @typedoc "A frame from the agent."
  @type event ::
          {:spawned, pos_integer()}
          | {:ready, pos_integer()}
          | :running
          | {:pty_out, binary()}
          | {:pty_in_dropped, pos_integer()}
          | terminal()

  @doc "The kinds of namespaces."
  @spec namespaces() :: [Request.namespace()]
  def namespaces, do: @namespaces

  @doc "Every stage at which an agent can fail."
  @spec stages() :: [atom()]
  def stages, do: @stages

  @doc "The largest frame that may hold a request, in bytes."
  @spec max_request() :: pos_integer()
  def max_request, do: @max_request

  @doc """
  The frame of a request.

      iex> request = %LinxProcess.Request{kind: :spawn, argv: ["/bin/true"]}
      iex> {:ok, frame} = LinxProcess.Protocol.encode_request(request)
      iex> :erlang.binary_to_term(frame)
      {:spawn, %{argv: ["/bin/true"]}}
  """
  @spec encode_request(Request.t()) :: {:ok, binary()} | {:error, :request_too_big}
  def encode_request(%Request{} = request) do
    frame = request |> Request.to_term() |> :erlang.term_to_binary()
    if byte_size(frame) > @max_request, do: {:error, :request_too_big}, else: {:ok, frame}
  end

  @doc """
  The frame of a command, or `:error` for what is none.

      iex> {:ok, frame} = LinxProcess.Protocol.encode_command({:signal, 15})
      iex> :erlang.binary_to_term(frame)
      {:signal, 15}
      iex> LinxProcess.Protocol.encode_command({:signal, 65})
      :error
  """
  @spec encode_command(term()) :: {:ok, binary()} | :error
  def encode_command(command) do
    if command?(command) do
      frame = :erlang.term_to_binary(command)
      if byte_size(frame) > @max_command, do: :error, else: {:ok, frame}
    else
      :error
    end
  end

  defguardp is_mask(mask) when is_integer(mask) and mask in 0..@max_mask
  defguardp is_u16(n) when is_integer(n) and n in 0..65_535

  @doc """
  Whether a term is a command.

      iex> LinxProcess.Protocol.command?(:proceed)
      true
      iex> LinxProcess.Protocol.command?({:cap_set_ambient, -1})
      false
  """
  @spec command?(term()) :: boolean()
  def command?(:proceed), do: true
  def command?(:abort), do: true
  def command?({:cap_drop_bounding, mask}), do: is_mask(mask)
  def command?({:cap_set_thread, e, p, i}), do: is_mask(e) and is_mask(p) and is_mask(i)
  def command?({:cap_set_ambient, mask}), do: is_mask(mask)
  def command?({:seccomp_install, program}), do: is_binary(program)
  def command?({:signal, n}), do: is_integer(n) and n in 1..64
  def command?({:pty_in, data}), do: is_binary(data)

  def command?({:pty_winsize, {rows, cols, xpix, ypix}}) do
    is_u16(rows) and is_u16(cols) and is_u16(xpix) and is_u16(ypix)
  end

  def command?(_other), do: false

  @doc """
  The event of a frame, or `:error` for what is none.

      iex> LinxProcess.Protocol.decode_event(:erlang.term_to_binary({:status, :exited, 3}))
      {:ok, {:exited, 3}}
      iex> LinxProcess.Protocol.decode_event("junk")
      :error
  """
  @spec decode_event(binary()) :: {:ok, event()} | :error
  def decode_event(frame) do
    frame |> :erlang.binary_to_term([:safe]) |> event()
  rescue
    ArgumentError -> :error
  end

  defguardp is_pid_number(n) when is_integer(n) and n > 0

  defp event({:pty_out, data}) when is_binary(data), do: {:ok, {:pty_out, data}}
  defp event({:status, :spawned, pid}) when is_pid_number(pid), do: {:ok, {:spawned, pid}}
  defp event({:status, :ready, pid}) when is_pid_number(pid), do: {:ok, {:ready, pid}}
  defp event({:status, :running}), do: {:ok, :running}

  defp event({:pty_in_dropped, n}) when is_integer(n) and n > 0 do
    {:ok, {:pty_in_dropped, n}}
  end

  defp event({:status, :exited, code}) when is_integer(code) and code in 0..255 do
    {:ok, {:exited, code}}
  end

  defp event({:status, :signaled, n}) when is_integer(n) and n in 1..64 do
    {:ok, {:signaled, n}}
  end

  defp event({:status, :aborted, pid}) when is_pid_number(pid), do: {:ok, {:aborted, pid}}

  defp event({:error, errno, stage}) when is_integer(errno) and errno > 0 and stage in @stages do
    {:ok, {:error, Error.new(stage, errno)}}
  end

  defp event(_other), do: :error
end
