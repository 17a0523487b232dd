# A dialogue with a program that wants a terminal.
#
#     mix run examples/terminal.exs

script = ~S|stty -echo; printf "name? "; read name; echo "hello, $name, on $(stty size)"|
{:ok, session} = LinxProcess.spawn(["/bin/sh", "-c", script], stdio: :pty)
:ok = LinxProcess.pty_winsize(session, 24, 80)
:ok = LinxProcess.proceed(session)

# Output of a terminal comes in pieces of any size.
read_until = fn read_until, pattern, seen ->
  if seen =~ pattern do
    seen
  else
    receive do
      {:linx_process, ^session, {:pty_out, data}} -> read_until.(read_until, pattern, seen <> data)
    end
  end
end

question = read_until.(read_until, "name? ", "")
:ok = LinxProcess.pty_write(session, "world\n")
answer = read_until.(read_until, "\n", "")

IO.puts(question)
IO.puts(String.trim(answer))
IO.inspect(LinxProcess.wait(session))

# Output:
# name? 
# hello, world, on 24 80
# {:exited, 0}
