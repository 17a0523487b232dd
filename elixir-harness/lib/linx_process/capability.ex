defmodule LinxProcess.Capability do
  @moduledoc """
  The capabilities of Linux, capabilities(7), and the masks that the agent takes.

  A set of capabilities is a list of names without the `CAP_` prefix, or the mask
  itself: an unsigned 64-bit integer with bit *n* for capability number *n*.
  """

  import Bitwise

  @names ~w(
    chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
    net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio
    sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time
    sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog
    wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
  )a

  @numbers @names |> Enum.with_index() |> Map.new()
  @max_mask (1 <<< 64) - 1

  @typedoc "Names, or a mask."
  @type set :: [atom()] | 0..0xFFFFFFFFFFFFFFFF

  @doc "The names, in the order of their numbers."
  @spec names() :: [atom()]
  def names, do: @names

  @doc """
  The mask of a set.

      iex> LinxProcess.Capability.mask([:chown, :net_bind_service])
      {:ok, 0x401}
      iex> LinxProcess.Capability.mask(0x401)
      {:ok, 0x401}
      iex> LinxProcess.Capability.mask([:no_such])
      :error
      iex> LinxProcess.Capability.mask(-1)
      :error
  """
  @spec mask(term()) :: {:ok, 0..0xFFFFFFFFFFFFFFFF} | :error
  def mask(mask) when is_integer(mask) and mask in 0..@max_mask, do: {:ok, mask}

  def mask(names) when is_list(names) do
    Enum.reduce_while(names, {:ok, 0}, fn name, {:ok, mask} ->
      case @numbers do
        %{^name => number} -> {:cont, {:ok, mask ||| 1 <<< number}}
        _unknown -> {:halt, :error}
      end
    end)
  end

  def mask(_other), do: :error

  @doc """
  Every capability but those of the set: what to drop in order to keep the set.

      iex> {:ok, drop} = LinxProcess.Capability.all_but([:chown])
      iex> {:ok, keep} = LinxProcess.Capability.mask([:chown])
      iex> Bitwise.band(drop, keep)
      0
  """
  @spec all_but(set()) :: {:ok, 0..0xFFFFFFFFFFFFFFFF} | :error
  def all_but(set) do
    with {:ok, keep} <- mask(set) do
      {:ok, (1 <<< length(@names)) - 1 &&& bnot(keep)}
    end
  end
end
