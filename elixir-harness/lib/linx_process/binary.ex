defmodule LinxProcess.Binary do
  @moduledoc """
  Where the agent's binary is.

  The first of these that is set decides:

    1. the session's own option `:binary`
    2. `config :linx_process, :binary`
    3. the environment variable `LINX_PROCESS`
    4. `priv/linx-process` of this application, where `mix linx_process.build` puts it
  """

  import Bitwise

  alias LinxProcess.Error

  @enoent 2
  @eacces 13

  @doc """
  The path of an agent that is there and that may be executed.

      iex> {:error, error} = LinxProcess.Binary.find("/no/such/agent")
      iex> Exception.message(error) =~ "mix linx_process.build"
      true
  """
  @spec find(Path.t() | nil) :: {:ok, Path.t()} | {:error, Error.t()}
  def find(override \\ nil) do
    path = override || path()

    case File.stat(path) do
      {:ok, %{type: :regular, mode: mode}} when (mode &&& 0o111) != 0 -> {:ok, path}
      {:ok, _not_executable} -> {:error, Error.new(:binary, @eacces, path)}
      {:error, _reason} -> {:error, Error.new(:binary, @enoent, path)}
    end
  end

  @doc "The path that is configured, whatever is there."
  @spec path() :: Path.t()
  def path do
    Application.get_env(:linx_process, :binary) ||
      System.get_env("LINX_PROCESS") ||
      priv()
  end

  @doc "The place in `priv/` of this application."
  @spec priv() :: Path.t()
  def priv, do: Application.app_dir(:linx_process, "priv/linx-process")
end
