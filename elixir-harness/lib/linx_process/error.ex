defmodule LinxProcess.Error do
  @moduledoc """
  Why a session failed: an exception with the stage, the error number where there is
  one, and a message that says what to do about it.

    * `:stage`: where it failed. The agent's own stages are those of
      `LinxProcess.Protocol.stages/0`; this library adds `:agent_died` (the agent went
      away without a last word), `:malformed_frame` (what it said was not the
      protocol), `:noconnection` (its node went away), `:owner_down`, `:binary` (there
      is no agent to start), `:output` (the sockets for the workload's output),
      `:timeout` and `:max_bytes` (limits of `LinxProcess.run/2`), `:checkpoint`
      (what `run/2` was to do there) and `:exit` (`LinxProcess.stream!/2`).
    * `:errno`: the positive number of Linux, or `nil`.
    * `:detail`: more about it for a person, or `nil`.
    * `:result`: with `:timeout` and `:max_bytes`, the `LinxProcess.Result` so far.
  """

  alias LinxProcess.{Errno, Result}

  defexception [:stage, :errno, :detail, :result]

  @type t :: %__MODULE__{
          stage: atom(),
          errno: pos_integer() | nil,
          detail: String.t() | nil,
          result: Result.t() | nil
        }

  @hints %{
    {:execve, :enoent} =>
      "argv[0] is a path as the workload sees it, and there is no such file; " <>
        "the interpreter of a script counts too",
    {:execve, :eacces} => "the file has no execute permission, or its mount is noexec",
    {:execve, :enoexec} => "the file is no program; does a script lack its #! line?",
    {:chdir, :enoent} => "cwd is a path as the workload sees it",
    {:clone, :eperm} =>
      "namespaces other than :user need CAP_SYS_ADMIN; add :user to the namespaces, " <>
        "and see whether user namespaces are allowed here",
    {:clone, :enospc} => "a limit of /proc/sys/user is reached",
    {:open_ns_proc, :enoent} => "the target process is gone",
    {:open_ns_proc, :esrch} => "the target process is gone",
    {:connect_unix, :enametoolong} => "a socket's path may have 107 bytes",
    {:seccomp_install, :einval} => "the kernel would refuse this program",
    {:malformed_request, :einval} => "the agent may be older than this library",
    {:binary, :enoent} => "run `mix linx_process.build`, or say where the agent is",
    {:binary, :eacces} => "the agent's file is not executable"
  }

  @doc """
  An error of the agent, or one of this library's own when there is no number.

      iex> Exception.message(LinxProcess.Error.new(:chdir, 20))
      "chdir failed: ENOTDIR (not a directory)"
  """
  @spec new(atom(), pos_integer() | nil, String.t() | nil) :: t()
  def new(stage, errno \\ nil, detail \\ nil) do
    %__MODULE__{stage: stage, errno: errno, detail: detail}
  end

  @doc """
  The error for the reason of a terminal event: a reason may be a bare atom.

      iex> LinxProcess.Error.wrap(:agent_died).stage
      :agent_died
  """
  @spec wrap(t() | atom()) :: t()
  def wrap(%__MODULE__{} = error), do: error
  def wrap(reason) when is_atom(reason), do: new(reason)

  @impl true
  def message(%__MODULE__{} = error) do
    what(error) <> number(error) <> detail(error) <> hint(error)
  end

  defp what(%{stage: :agent_died}), do: "the agent died, or was killed, before it told the end"
  defp what(%{stage: :malformed_frame}), do: "the agent sent a frame that is not the protocol"
  defp what(%{stage: :noconnection}), do: "the connection to the session's node is lost"
  defp what(%{stage: :owner_down}), do: "the owner of the session went away"
  defp what(%{stage: :stopped}), do: "the session was stopped before it had a request"
  defp what(%{stage: :request_too_big}), do: "argv, env and the rest of the request exceed 4 MiB"
  defp what(%{stage: :timeout}), do: "the workload ran into its timeout and was stopped"
  defp what(%{stage: :max_bytes}), do: "the workload wrote more than max_bytes and was stopped"
  defp what(%{stage: :exit}), do: "the workload did not exit with status 0"
  defp what(%{stage: :binary}), do: "the agent's binary cannot be used"
  defp what(%{stage: stage}), do: "#{stage} failed"

  defp number(%{errno: nil}), do: ""
  defp number(%{errno: errno}), do: ": #{Errno.describe(errno)}"

  defp detail(%{detail: nil}), do: ""
  defp detail(%{detail: detail}), do: ": #{detail}"

  defp hint(%{errno: nil}), do: ""

  defp hint(%{stage: stage, errno: errno}) do
    case @hints[{stage, Errno.name(errno)}] do
      nil -> ""
      hint -> " (#{hint})"
    end
  end
end
