# A program's output, status and time.
#
#     mix run examples/hello.exs

{:ok, result} = LinxProcess.run(["/bin/sh", "-c", "echo hello from $0; exit 3"])

IO.write(result.stdout)
IO.inspect(result.status)

# Output:
# hello from /bin/sh
# {:exited, 3}
