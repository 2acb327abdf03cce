# Keeps snmp.db and nanny.db as amavis does, in the folder that is given. Takes on standard input lines
# "FILE KEY VALUE", which are put, and lines "count N NAME...", for which it says "counted" after it has added one to
# each of these counters N times, as a child of amavis does: below one write lock. Holds all open until its input ends.
use strict;
use warnings;
use BerkeleyDB;

$| = 1;
my $env = BerkeleyDB::Env->new(-Home => $ARGV[0], -Mode => 0640, -Flags => DB_CREATE | DB_INIT_CDB | DB_INIT_MPOOL)
	or die "environment: $BerkeleyDB::Error";
my %db;
for my $name ('snmp.db', 'nanny.db') {
	$db{$name} = BerkeleyDB::Hash->new(-Filename => $name, -Flags => DB_CREATE, -Env => $env) or die "$name: $BerkeleyDB::Error";
}
while (<STDIN>) {
	chomp;
	my ($name, $key, $value) = split / /, $_, 3;
	if ($name ne 'count') {
		$db{$name}->db_put($key, $value) == 0 or die "$key: $BerkeleyDB::Error";
		next;
	}
	for my $n (1 .. $key) {
		my $cursor = $db{'snmp.db'}->db_cursor(DB_WRITECURSOR) or die $BerkeleyDB::Error;
		for my $counter (split / /, $value) {
			my $old = '';
			$cursor->c_get($counter, $old, DB_SET) == 0 or die "$counter: $BerkeleyDB::Error";
			my ($type, $at) = split / /, $old;
			$cursor->c_put($counter, sprintf($type eq 'C64' ? 'C64 %020d' : "$type %010d", $at + 1), DB_CURRENT) == 0 or die $BerkeleyDB::Error;
		}
		$cursor->c_close == 0 or die $BerkeleyDB::Error;
	}
	print "counted\n";
}
