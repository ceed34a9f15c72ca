# What SpamAssassin says of mails: fails when a rule adds points to any of them.
#
#     perl spam.pl MAIL.eml…
use strict;
use warnings;
use File::Temp 'tempdir';
use Mail::SpamAssassin;

# Rules about the way that a mail has travelled; these have not travelled.
my %about_the_way = map { $_ => 1 } qw(NO_RECEIVED NO_RELAYS DATE_IN_PAST_96_XX);

# What is not ours to write: words without end in hostile events, the HTML of plain mails, and a code that is all in capitals before Chinese words.
sub accepted {
    my ($file, $rule) = @_;
    return $rule =~ /^(?:HTML_OBFUSCATE_\w+|SUBJ_ALL_CAPS)$/ if $file =~ /hostile/;
    return $rule =~ /^HTML_OBFUSCATE_\w+$/ if $file =~ /plain-html/;
    return $rule eq 'SUBJ_ALL_CAPS' && $file =~ /message-code-bare\.zh/;
}

my $home = tempdir(CLEANUP => 1);
my $judge = Mail::SpamAssassin->new({ local_tests_only => 1, dont_copy_prefs => 1, userprefs_filename => "$home/none", userstate_dir => $home });
$judge->compile_now(0);
my ($bad, $worst) = (0, 0);
for my $file (@ARGV) {
    # A process for each mail: the judge remembers some of the mail before.
    my $child = open(my $verdict, '-|') // die "fork: $!";
    if (!$child) {
        open(my $in, '<:raw', $file) or die "$file: $!";
        local $/;
        my $status = $judge->check($judge->parse(scalar <$in>));
        print $status->get_names_of_tests_hit_with_scores();
        require POSIX;
        STDOUT->flush();
        POSIX::_exit(0);
    }
    my $found = do { local $/; <$verdict> } // '';
    close($verdict) or die "$file: the check ended with $?";
    $found =~ /HTML_MESSAGE/ or die "$file: it was not read as HTML: $found";
    my $sum = 0;
    for (split /,/, $found) {
        my ($rule, $points) = split /=/;
        next if $about_the_way{$rule};
        $sum += $points unless accepted($file, $rule);
        # Informational rules count a thousandth.
        next if $points < 0.05 || accepted($file, $rule);
        print "$file: $rule $points\n";
        $bad++;
    }
    $worst = $sum if $sum > $worst;
}
printf "note: %d mails, at most %.1f points\n", scalar @ARGV, $worst;
exit($bad || !@ARGV ? 1 : 0);
