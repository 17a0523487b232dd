defmodule Mix.Tasks.LinxProcess.Dialyzer do
  @shortdoc "Runs Dialyzer over the library"

  @moduledoc """
  Runs Dialyzer, as it comes with Erlang, over the compiled library.

      mix linx_process.dialyzer

  The table of what the library uses (PLT) is built once for each pair of an Erlang and
  an Elixir, and kept below `_build`. The Mix tasks themselves are left out, so that Mix
  is not needed in the table.
  """

  use Mix.Task

  @applications [:erts, :kernel, :stdlib, :elixir, :logger]
  @warnings [:unknown, :error_handling, :extra_return, :missing_return]

  @impl true
  def run(_arguments) do
    Mix.Task.run("compile")

    unless Code.ensure_loaded?(:dialyzer) do
      Mix.raise("there is no Dialyzer; on Debian: apt-get install erlang-dialyzer")
    end

    plt = plt_path()
    unless File.exists?(plt), do: build(plt)

    case dialyzer(files: beams(), init_plt: chars(plt), warnings: @warnings) do
      [] -> Mix.shell().info("dialyzer: nothing to warn of")
      warnings -> report(warnings)
    end
  end

  defp plt_path do
    erlang = :erlang.system_info(:version)
    Path.join(Mix.Project.build_path(), "dialyzer-#{erlang}-#{System.version()}.plt")
  end

  # A build that is interrupted leaves no table that looks whole.
  defp build(plt) do
    Mix.shell().info("building #{Path.relative_to_cwd(plt)}, once")
    partial = plt <> ".partial"
    directories = Enum.map(@applications, &(&1 |> Application.app_dir("ebin") |> chars()))
    dialyzer(analysis_type: :plt_build, files_rec: directories, output_plt: chars(partial))
    File.rename!(partial, plt)
  end

  defp beams do
    Mix.Project.compile_path()
    |> Path.join("Elixir.LinxProcess*.beam")
    |> Path.wildcard()
    |> Enum.map(&chars/1)
  end

  # Not a call that the compiler can see: Dialyzer need not be installed to compile this.
  defp dialyzer(options), do: apply(:dialyzer, :run, [options])

  defp chars(path), do: String.to_charlist(path)

  defp report(warnings) do
    for warning <- warnings do
      text = apply(:dialyzer, :format_warning, [warning])
      Mix.shell().error(text |> to_string() |> String.trim())
    end

    Mix.raise("dialyzer: #{length(warnings)} warnings")
  end
end
