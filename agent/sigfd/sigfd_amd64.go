package sigfd

// saRestorer says that the action names its own way back (SA_RESTORER), as this
// architecture requires.
const saRestorer = 0x04000000
