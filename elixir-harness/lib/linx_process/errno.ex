defmodule LinxProcess.Errno do
  @moduledoc """
  The error numbers of Linux, errno(3), by number and by name.

  The numbers are those of `asm-generic/errno.h`, which amd64 and arm64 share.
  """

  # The position in the list is the number; 41 and 58 are not in use.
  @names ~w(
    eperm enoent esrch eintr eio enxio e2big enoexec ebadf echild
    eagain enomem eacces efault enotblk ebusy eexist exdev enodev enotdir
    eisdir einval enfile emfile enotty etxtbsy efbig enospc espipe erofs
    emlink epipe edom erange edeadlk enametoolong enolck enosys enotempty eloop
    - enomsg eidrm echrng el2nsync el3hlt el3rst elnrng eunatch enocsi
    el2hlt ebade ebadr exfull enoano ebadrqc ebadslt - ebfont enostr
    enodata etime enosr enonet enopkg eremote enolink eadv esrmnt ecomm
    eproto emultihop edotdot ebadmsg eoverflow enotuniq ebadfd eremchg elibacc elibbad
    elibscn elibmax elibexec eilseq erestart estrpipe eusers enotsock edestaddrreq emsgsize
    eprototype enoprotoopt eprotonosupport esocktnosupport eopnotsupp epfnosupport eafnosupport
    eaddrinuse eaddrnotavail enetdown enetunreach enetreset econnaborted econnreset enobufs
    eisconn enotconn eshutdown etoomanyrefs etimedout econnrefused ehostdown ehostunreach
    ealready einprogress estale euclean enotnam enavail eisnam eremoteio edquot enomedium
    emediumtype ecanceled enokey ekeyexpired ekeyrevoked ekeyrejected eownerdead
    enotrecoverable erfkill ehwpoison
  )

  @table for {name, number} <- Enum.with_index(@names, 1), name != "-", do: {number, name}

  @doc """
  The name of an error number, or `nil` for a number that Linux does not use.

      iex> LinxProcess.Errno.name(2)
      :enoent
      iex> LinxProcess.Errno.name(4095)
      nil
  """
  @spec name(integer()) :: atom()
  for {number, name} <- @table do
    def name(unquote(number)), do: unquote(String.to_atom(name))
  end

  def name(number) when is_integer(number), do: nil

  @doc """
  What a person reads: the symbol and the meaning.

      iex> LinxProcess.Errno.describe(13)
      "EACCES (permission denied)"
      iex> LinxProcess.Errno.describe(4095)
      "errno 4095"
  """
  @spec describe(integer()) :: String.t()
  def describe(number) do
    case name(number) do
      nil -> "errno #{number}"
      name -> "#{name |> Atom.to_string() |> String.upcase()}#{meaning(name)}"
    end
  end

  # Erlang knows the texts of most names, and says so where it does not.
  defp meaning(name) do
    case name |> :file.format_error() |> to_string() do
      "unknown POSIX error" <> _rest -> ""
      text -> " (#{text})"
    end
  end
end
