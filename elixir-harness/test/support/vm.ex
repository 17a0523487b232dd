defmodule TestSupport.VM do
  @moduledoc """
  Another Erlang VM with this library in it, to be killed, or to be another user.
  """

  @doc """
  Starts a VM that evaluates the code. What it prints comes as lines by `line/1`.

  With `user: id` it runs as that user, from copies that this user can read; `env: pairs`
  is added to its environment.
  """
  def start(code, options \\ []) do
    {paths, agent} = files(options[:user])
    elixir = System.find_executable("elixir")

    command =
      as_user(options[:user]) ++ [elixir] ++ Enum.flat_map(paths, &["-pa", &1]) ++ ["-e", code]

    [program | arguments] = command

    port =
      Port.open({:spawn_executable, System.find_executable(program)}, [
        :binary,
        :exit_status,
        :stderr_to_stdout,
        line: 65_536,
        args: arguments,
        env: for({name, value} <- env(agent, options), do: {to_charlist(name), to_charlist(value)})
      ])

    {:os_pid, pid} = Port.info(port, :os_pid)
    %{port: port, os_pid: pid}
  end

  @doc "The next line that a VM prints, or how it ended."
  def line(%{port: port}) do
    receive do
      {^port, {:data, {:eol, line}}} -> line
      {^port, {:exit_status, status}} -> {:exit_status, status}
    after
      60_000 -> ExUnit.Assertions.flunk("the VM says nothing")
    end
  end

  defp env(agent, options) do
    [{"LINX_PROCESS", agent}, {"LC_ALL", "C.UTF-8"}, {"HOME", "/tmp"}] ++
      Keyword.get(options, :env, [])
  end

  defp files(nil), do: {[Mix.Project.compile_path()], agent()}

  defp files(_user) do
    directory = TestSupport.Case.tmp_dir()
    File.chmod!(directory, 0o755)
    ebin = Path.join(directory, "ebin")
    File.cp_r!(Mix.Project.compile_path(), ebin)
    File.cp!(agent(), Path.join(directory, "linx-process"))
    {[ebin], Path.join(directory, "linx-process")}
  end

  defp agent, do: Path.expand(LinxProcess.Binary.path())

  defp as_user(nil), do: []

  defp as_user(id) do
    ["setpriv", "--reuid", "#{id}", "--regid", "#{id}", "--clear-groups", "--inh-caps=-all"]
  end
end
