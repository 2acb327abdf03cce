# Writes into a Berkeley DB environment as a child of amavis does: cursors with the write lock of CDB, counters that
# only grow, rows of processes. Arguments: folder, name of this writer, how many counters to begin with, how many to
# add in all, microseconds between messages. Says "ready", writes until its input ends a first time with a line, says
# the number of messages, and keeps everything open until its input ends.
use strict;
use warnings;
use BerkeleyDB;
use Time::HiRes qw(time usleep);
use IO::Select;

my ($home, $me, $keys, $grow, $gap) = @ARGV;
my $env = BerkeleyDB::Env->new(-Home => $home, -Mode => 0640, -Flags => DB_CREATE | DB_INIT_CDB | DB_INIT_MPOOL)
	or die "environment: $BerkeleyDB::Error";
my $snmp = BerkeleyDB::Hash->new(-Filename => 'snmp.db', -Flags => DB_CREATE, -Env => $env) or die "snmp: $BerkeleyDB::Error";
my $nanny = BerkeleyDB::Hash->new(-Filename => 'nanny.db', -Flags => DB_CREATE, -Env => $env) or die "nanny: $BerkeleyDB::Error";

sub add {
	my ($cursor, $name, $by) = @_;
	my ($value, $flags, $wide) = ('', DB_KEYLAST, $name =~ /Size/);
	my $n = 0;
	if ($cursor->c_get($name, $value, DB_SET) == 0) {
		$value =~ /^C(?:32|64) (\d+)\z/ or die "torn for the writer itself: $value";
		($n, $flags) = ($1, DB_CURRENT);
	}
	$cursor->c_put($name, sprintf($wide ? 'C64 %020d' : 'C32 %010d', $n + $by), $flags) == 0 or die $BerkeleyDB::Error;
}

$| = 1;
print "ready\n";
my $input = IO::Select->new(\*STDIN);
my $messages = 0;
until ($input->can_read(0)) {
	$messages++;
	my $cursor = $snmp->db_cursor(DB_WRITECURSOR) or die $BerkeleyDB::Error;
	add($cursor, "InMsgs$_", 1) for 1 .. $keys;
	add($cursor, "InMsgsSize$_", 70_000 + $_) for 1 .. 9;
	add($cursor, "virus.byname.Some-Name-$me-" . ($messages % $grow), 1) if $grow;
	$cursor->c_close == 0 or die $BerkeleyDB::Error;
	$cursor = $nanny->db_cursor(DB_WRITECURSOR) or die $BerkeleyDB::Error;
	my $key = sprintf('%05d', $$);
	my $row = sprintf('%014.3f %-14s', time, $messages % 2 ? sprintf('=%05d-%02d', $$, $messages % 100) : ' ');
	$cursor->c_put($key, $row, DB_KEYLAST) == 0 or die $BerkeleyDB::Error;
	$cursor->c_close == 0 or die $BerkeleyDB::Error;
	# A child that retires deletes its row.
	$nanny->db_del($key) if $messages % 50 == 0;
	usleep($gap) if $gap;
}
<STDIN>;
print "$messages\n";
1 while <STDIN>;
