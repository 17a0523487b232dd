package main

// help fits a screen of 80 by 24.
const help = `usage: linx-run [flags] [--] command [argument ...]
Runs a command in a Linux sandbox.

  --ns LIST            new namespaces: user,mount,uts,ipc,cgroup,net,time,pid
  --all                all of these
  --map-root           root inside, you outside: map your uid and gid to 0
  --enter PID          join namespaces of PID instead: those of --ns, or all
  --pty, --no-pty      a terminal of its own (default: if stdin, stdout are one)
  --cwd DIR            change directory before the command is executed
  --env KEY=VALUE      set a variable (repeatable)
  --clear-env          start from an empty environment
  --drop-caps LIST     take capabilities away: names as in net_raw,chown, or all
  --keep-caps LIST     take all others away
  --ambient-caps LIST  let a user who is not root have capabilities
  --seccomp-bpf FILE   install a filter, struct sock_filter[] (repeatable)
  --no-new-privs       set-user-ID bits and file capabilities give nothing
  --orphan POLICY      when linx-run dies: linger, or kill[:MS] (default: 5000)
  --trace              show the frames of both directions on stderr
  --explain            print the system calls it takes instead of making them
  --agent PATH         linx-process (default: beside linx-run, then on PATH)
  --version, --help    print that
Exit status: the command's; 128+N if signal N killed it; 127 it was not found;
126 it could not be executed; 125 anything else went wrong.
`
