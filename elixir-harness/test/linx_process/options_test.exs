defmodule LinxProcess.OptionsTest do
  use ExUnit.Case, async: true

  alias LinxProcess.{OptionError, Options}

  test "everything that can be asked for" do
    {:ok, options} =
      Options.parse(["/bin/true", "x"],
        env: ["A=1", {"B", "2=3"}, "C="],
        namespaces: [:user, :time, :user],
        stdio: [stdin: :devnull, stdout: {:connect_unix, "/tmp/s"}],
        cwd: "/",
        no_new_privs: true,
        orphan_policy: {:kill, 0},
        owner: nil,
        auto_proceed: true,
        grace: 1,
        max_queue: 10,
        retain: 0,
        binary: "/agent"
      )

    request = options.request
    assert request.kind == :spawn
    assert request.argv == ["/bin/true", "x"]
    assert request.env == ["A=1", "B=2=3", "C="]
    assert request.namespaces == [:user, :time]
    assert request.stdio == [stdin: :devnull, stdout: {:connect_unix, "/tmp/s"}]
    assert request.orphan_policy == {:kill, 0}
    assert %{auto_proceed: true, grace: 1, max_queue: 10, retain: 0, binary: "/agent"} = options
  end

  test "what is not asked for is not in the request" do
    {:ok, options} = Options.parse(["/bin/true"], [])
    assert LinxProcess.Request.to_term(options.request) == {:spawn, %{argv: ["/bin/true"]}}
  end

  test "a bare name is looked up here, but not to enter" do
    {:ok, options} = Options.parse(["sh", "-c", "x"], [])
    assert [path, "-c", "x"] = options.request.argv
    assert path == System.find_executable("sh")

    {:ok, options} = Options.parse(["sh"], [], 1)
    assert options.request.argv == ["sh"]

    {:ok, options} = Options.parse(["no-such-program-anywhere"], [])
    assert options.request.argv == ["no-such-program-anywhere"]
  end

  test "the first of two values of a key holds" do
    {:ok, options} = Options.parse(["/bin/true"], cwd: "/a", cwd: "/b")
    assert options.request.cwd == "/a"
  end

  for {key, value} <- [
        env: "A=1",
        env: ["A=1" | "B=2"],
        env: [{"A=", "1"}],
        env: [{"", "1"}],
        env: [1],
        env: ["A=\0"],
        namespaces: [:usr],
        namespaces: :user,
        stdio: :tty,
        stdio: [stdin: :pty],
        stdio: [stdlog: :devnull],
        stdio: [stdin: {:connect_unix, "a\0b"}],
        cwd: ~c"/",
        no_new_privs: 1,
        orphan_policy: {:kill, -1},
        orphan_policy: {:kill, 0x80000000},
        orphan_policy: :kill,
        owner: :me,
        auto_proceed: nil,
        grace: -1,
        max_queue: 0,
        retain: :infinity,
        binary: nil,
        colour: :red
      ] do
    test "the error for #{inspect(key)} => #{inspect(value)} names the key" do
      value = unquote(Macro.escape(value))
      assert {:error, error} = Options.parse(["/bin/true"], [{unquote(key), value}])
      assert %OptionError{key: unquote(key), value: ^value} = error
      assert Exception.message(error) =~ "option #{inspect(unquote(key))}: expected "
    end
  end

  test "argv, target and options of another shape" do
    for argv <- [[], "/bin/true", ["/bin/true" | "x"], ["a\0"], [:a], nil] do
      assert {:error, %OptionError{key: :argv}} = Options.parse(argv, [])
    end

    for target <- [nil, 0, -1, "1", :init] do
      assert {:error, %OptionError{key: :target}} = Options.parse(["/bin/true"], [], target)
    end

    for options <- [:cwd, %{}, [1], [{"cwd", "/"}]] do
      assert {:error, %OptionError{key: :options}} = Options.parse(["/bin/true"], options)
    end
  end
end
