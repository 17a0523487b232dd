defmodule LinxProcess.Result do
  @moduledoc """
  What `LinxProcess.run/2` gives back.

    * `:status`: `{:exited, code}` or `{:signaled, number}`
    * `:stdout`: what the workload wrote to descriptor 1; with `:into`, the collectable
    * `:stderr`: what it wrote to descriptor 2; empty unless it was captured
    * `:bytes`: how many bytes of both were read
    * `:host_pid`: the pid that it had, as the agent saw it
    * `:wall_ms`: the milliseconds from the request to the end
  """

  @enforce_keys [:status]
  defstruct [:status, :host_pid, stdout: "", stderr: "", bytes: 0, wall_ms: 0]

  @type t :: %__MODULE__{
          status: {:exited, 0..255} | {:signaled, 1..64},
          stdout: binary() | Collectable.t(),
          stderr: binary(),
          bytes: non_neg_integer(),
          host_pid: pos_integer() | nil,
          wall_ms: non_neg_integer()
        }

  @doc """
  Whether the workload exited with status 0.

      iex> LinxProcess.Result.ok?(%LinxProcess.Result{status: {:exited, 0}})
      true
      iex> LinxProcess.Result.ok?(%LinxProcess.Result{status: {:signaled, 9}})
      false
  """
  @spec ok?(t()) :: boolean()
  def ok?(%__MODULE__{status: status}), do: status == {:exited, 0}
end
